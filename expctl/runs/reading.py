"""Read the files of a folder that anybody may have written: plain data of a bounded size, or an error.

Nothing is read through a link that leads out of the folder that the file lies in: what is shown of a run is the run's
own. Pipes and devices are not opened, numbers that no float can hold are infinite, and what is nested without end is
refused, so that whoever shows the content need not expect any of this.
"""

import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

# Larger ones are not what expctl writes: of JSON, and of a file with a line for each of many steps.
MOST_BYTES, MOST_ROW_BYTES = 32 << 20, 512 << 20
DEEPEST = 64
# The digits of a whole number that a float can still hold.
MOST_DIGITS = 300


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
