"""The settings of a config node with the defaults that the source of its `_target_` gives."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from expctl.config.source.lookup import Definition, find
from expctl.config.source.signature import Field, signature


class FieldValues:
    """What `node` sets, else the default of the field or keyword, as items and as attributes.

    A default that is no plain value, and a name that the target does not know, is None.
    """

    def __init__(self, node: dict[str, Any], search: Iterable[Path] = ()):
        self._set = node
        definition = find(node.get("_target_"), search)
        self._defaults = _defaults(definition) if definition else {}

    def __contains__(self, name: str) -> bool:
        return name in self._set or name in self._defaults

    def __getitem__(self, name: str) -> Any:
        return self._set.get(name, self._defaults.get(name))

    def __getattr__(self, name: str) -> Any:
        return self[name]


@cache
def _defaults(definition: Definition) -> dict[str, Any]:
    """Cached: several checks of each job of a sweep ask for the same class."""
    return {name: _literal(field) for name, field in signature(definition).known.items()}


def _literal(field: Field) -> Any:
    """A default as its source writes it; None where it is no plain value."""
    if field.default is None:
        return None
    try:
        return _evaluated(field.default)
    except ValueError:
        return None


def _evaluated(node: ast.expr) -> Any:
    """A literal, or a power of whole numbers such as 2**30."""
    match node:
        case ast.BinOp(left=ast.Constant(value=int() as base), op=ast.Pow(), right=ast.Constant(value=int() as power)):
            return base**power if abs(power) < 64 else None
    return ast.literal_eval(node)
