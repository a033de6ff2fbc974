"""Read the files of a folder that anybody may have written: plain data of a bounded size, or an error.

Nothing is read through a link that leads out of the folder that the file lies in: what is shown of a run is the run's
own. Pipes and devices are not opened, numbers that no float can hold are infinite, and what is nested without end is
refused, so that whoever shows the content need not expect any of this.
"""

import json
import os
import re
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

import yaml

# Larger ones are not what expctl writes: of JSON, of YAML, and of a file with a line for each of many steps.
MOST_BYTES, MOST_YAML_BYTES, MOST_ROW_BYTES = 32 << 20, 2 << 20, 512 << 20
DEEPEST = 64
# So many values may stand in a document, each counted as often as it is referred to.
MOST_VALUES = 500_000
# The digits of a whole number that a float can still hold.
MOST_DIGITS = 300
# What may open a level in YAML before anything else of its line, and so many such characters are looked at closely.
_INDENT = re.compile(rf"^[ \t?:-]{{{2 * DEEPEST}}}", re.MULTILINE)


class UnreadableError(ValueError):
    """A file that is not what a run has there; the text follows the file's name: `is no regular file`."""


def open_plain(path: Path) -> BufferedReader:
    """The file, opened for reading.

    Raises:
        OSError: it is not there, or is closed to this user.
        UnreadableError: it is no regular file, or a link out of its folder.
    """
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
        raise UnreadableError("is a link out of its folder, which is not followed")
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnreadableError("is no regular file")
    # Not even a pipe that takes the file's place at this moment is waited for.
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file. Raises as `open_plain`, and UnreadableError where it has more than `most` bytes."""
    with open_plain(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UnreadableError(f"is larger than {most >> 20} MiB")
    return content


def load_json(text: str | bytes) -> Any:
    """The value that JSON says.

    Raises:
        ValueError: it is no JSON, or no UTF-8.
        UnreadableError: it is nested deeper than any file of a run.
    """
    try:
        content = json.loads(text, parse_int=_whole_number)
    except RecursionError as error:
        raise UnreadableError("is nested too deep") from error
    brackets = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    if brackets > DEEPEST:
        _refuse_depth(content)
    return content


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises as `read_bytes` and `load_json`."""
    content = read_bytes(path)
    if not content.strip():
        raise UnreadableError("is empty")
    try:
        return load_json(content)
    except UnreadableError:
        raise
    except ValueError as error:
        raise UnreadableError("holds no JSON") from error


def read_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The mappings of a file with a JSON object a line, and what is wrong with it, if anything.

    A last line that a crash cut short is left out, and is nothing wrong.
    """
    try:
        lines = read_bytes(path, MOST_ROW_BYTES).split(b"\n")
    except FileNotFoundError:
        return [], None
    except OSError as error:
        return [], f"cannot be read: {error.strerror}"
    except UnreadableError as error:
        return [], str(error)
    rows, strange = [], 0
    for line in lines[:-1]:
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif line.strip():
            strange += 1
    last = _row(lines[-1])
    if last is not None:
        rows.append(last)
    return rows, f"has {strange:,} lines that are no JSON object" if strange else None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as JSON could hold it: keys are texts, and so is what only YAML has.

    Raises:
        OSError, UnreadableError: as `read_bytes`.
        UnreadableError: it is no YAML, names types or merges mappings, or is too deep or too large when written out.
    """
    try:
        text = read_bytes(path, MOST_YAML_BYTES).decode("utf-8")
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


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = load_json(line) if line.strip() else None
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _refuse_depth(content: Any) -> None:
    level = [content]
    for _ in range(DEEPEST):
        level = [below for node in level for below in _below(node)]
        if not level:
            return
    raise UnreadableError("is nested too deep")


def _below(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


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
        return node if node.bit_length() < 1000 else float("inf" if node > 0 else "-inf")
    return node if node is None or isinstance(node, str | bool | float) else str(node)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return str(_plain(key, DEEPEST, [1]))
