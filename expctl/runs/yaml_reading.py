"""Read the YAML files of a folder that anybody may have written: see `expctl.runs.reading`, whose bounds hold here.

In a file of its own, so that who reads no YAML does not wait for its library.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from expctl.runs.reading import DEEPEST, UnreadableError, read_bytes

# A larger one is not what expctl writes.
MOST_BYTES = 2 << 20
# So many values may stand in a document, each counted as often as it is referred to.
MOST_VALUES = 500_000
# What may open a level in YAML before anything else of its line, and so many such characters are looked at closely.
_INDENT = re.compile(rf"^[ \t?:-]{{{2 * DEEPEST}}}", re.MULTILINE)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as JSON could hold it: keys are texts, and so is what only YAML has.

    Raises:
        OSError, UnreadableError: as `read_bytes`.
        UnreadableError: it is no YAML, names types or merges mappings, or is too deep or too large when written out.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8")
        if _INDENT.search(text) or text.count("[") + text.count("{") > DEEPEST:
            _refuse_deep_yaml(text)
        return _plain(yaml.load(text, _Loader), 0, [MOST_VALUES])
    except UnreadableError:
        raise
    except RecursionError as error:
        raise UnreadableError("is nested too deep") from error
    except (ValueError, ArithmeticError, AttributeError, yaml.YAMLError) as error:
        raise UnreadableError("holds no plain YAML") from error


# libyaml's loader, where there is one: a config is read in milliseconds.
_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_FastLoader):  # type: ignore[misc]  # chosen when the module is imported
    """A loader that refuses merged mappings."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Mappings that are merged into others grow beyond all bounds while they are read, and no run has any."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError("merged mappings")


def _refuse_deep_yaml(text: str) -> None:
    """Raise before libyaml's recursion ends the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UnreadableError("is nested too deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(node: Any, depth: int, left: list[int]) -> Any:
    """The node without what JSON has not; `left`: how many values more there may be."""
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST:
        raise UnreadableError("is too large when its references are followed")
    if isinstance(node, dict):
        return {_key(key): _plain(value, depth + 1, left) for key, value in node.items()}
    if isinstance(node, list | tuple | set):
        return [_plain(value, depth + 1, left) for value in node]
    if isinstance(node, int) and not isinstance(node, bool):
        if node.bit_length() < 1000:
            return node
        return math.inf if node > 0 else -math.inf
    return node if node is None or isinstance(node, str | bool | float) else str(node)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return str(_plain(key, DEEPEST, [1]))
