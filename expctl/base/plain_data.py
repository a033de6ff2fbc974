"""Nested plain data, as JSON and YAML files hold it: a damaged or foreign file may hold anything."""

from collections.abc import Iterator
from typing import Any, TypeGuard


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """The value where it is a text, else None."""
    return value if isinstance(value, str) else None


def texts(value: Any) -> dict[str, str]:
    """The items of a mapping whose values are texts."""
    return {name: inside for name, inside in mapping(value).items() if isinstance(inside, str)}


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number, be it infinite or NaN; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> int | float | None:
    """The value where it is a number, else None."""
    return value if is_number(value) else None


def at(node: Any, *path: str) -> Any:
    """The value below these keys; None where there is none."""
    for key in path:
        node = mapping(node).get(key)
    return node


def leaves(node: Any, key: str = "", between: str = ".") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything below a mapping that is no mapping itself; lists and empty mappings are values.

    Raises:
        AttributeError: the node is no mapping.
    """
    for name, value in node.items():
        inner = f"{key}{between}{name}" if key else str(name)
        if isinstance(value, dict) and value:
            yield from leaves(value, inner, between)
        else:
            yield inner, value


def every_leaf(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything below mappings and lists, which are looked into as `key[0]`."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from every_leaf(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from every_leaf(value, f"{key}[{position}]")
    else:
        yield key, node
