"""The files that a config names in any of its values: their content decides the result as a setting does.

A text counts as a path where a file or folder of that name is there, seen from the experiment's folder or from that
of one of the user's modules, which may look beside itself. Where a word may be no path but a mode that happens to be
called like a folder (`train`), its key or its form must say that it is one.
"""

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from expctl.base.paths import outputs_root

# Words of the keys that hold paths: there a bare word can be a folder.
PATH_WORDS = {"path", "paths", "file", "files", "folder", "folders", "dir", "dirs", "directory", "root"}
PATH_WORDS |= {"adapter", "args", "checkpoint", "data", "model", "template", "tokenizer", "weights"}
# The keys of what the run itself writes, which cannot decide what it does.
OUTPUT_WORDS = {"cache", "log", "logging", "logs", "out", "output", "outputs", "save", "scratch", "temp", "tmp"}
# Left behind by tools, beside what is read.
SKIPPED = {".git", ".cache", ".venv", ".ipynb_checkpoints", "__pycache__"}
NO_FILES = ("/dev", "/proc", "/sys")
GLOB = re.compile(r"[*?\[]")
LONGEST = 4096


def named_files(config: dict[str, Any], folders: Sequence[Path]) -> dict[Path, list[Path]]:
    """Path that the config names -> the regular files there, in the order of the config, each path once.

    `folders`: where a relative path may begin, the experiment's folder first.
    """
    named: dict[Path, list[Path]] = {}
    for key, text in _texts(config, ""):
        for path in _paths(key, text, folders):
            if path not in named:
                named[path] = files_below(path, without=outputs_root(folders[0]))
    return {path: files for path, files in named.items() if files}


def ignored_folders(config: dict[str, Any], folder: Path) -> list[str]:
    """`key=folder` of each folder that is named but not followed, because the experiment itself lies in it."""
    ignored = []
    for key, text in _texts(config, ""):
        words = _words(key)
        path = existing(text, folder)
        if path is None or not path.is_dir() or words & OUTPUT_WORDS or key in ("model.path", "dataset.path"):
            continue
        if (_has_form_of_path(text) or words & PATH_WORDS) and _holds(path, folder):
            ignored.append(f"{key}={text}")
    return ignored


def existing(text: str, folder: Path) -> Path | None:
    """The path that a text is, seen from a folder; None where nothing of that name is there."""
    if not text or len(text) > LONGEST or "\0" in text:
        return None
    try:
        path = folder / Path(text).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # a name too long, no such user
        return None


def paths_at(text: str, folder: Path) -> list[Path]:
    """What a text names that is a path in any case: one, or all that fit a pattern."""
    path = existing(text, folder)
    if path is not None:
        return [path]
    return _matches(text, folder) if GLOB.search(text) and "\0" not in text else []


def files_below(path: Path, without: Path) -> list[Path]:
    """The regular files at a path, sorted: one file, or all of a folder and of what its links lead to.

    `without`: a folder that is passed over, unless the path itself lies in it.
    """
    if not path.is_dir():
        return [path] if _is_regular(path) else []
    regular, seen = [], {os.path.realpath(without)}
    for folder, names, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen and folder != str(path):
            names.clear()
            continue
        seen.add(real)
        names[:] = [name for name in names if name not in SKIPPED]
        regular += [file for file in map(Path(folder).joinpath, files) if _is_regular(file)]
    return sorted(regular)


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Dotted key and text, of every text of a config; a key that has the form of a path is a text as well."""
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(name, str) and _has_form_of_path(name):
                yield key, name
            if name != "_target_":
                yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


def _paths(key: str, text: str, folders: Sequence[Path]) -> list[Path]:
    """What a text names: one path, several that it lists (`a.txt,b.txt`), or all that fit a pattern (`data/*.txt`)."""
    words = _words(key)
    if words & OUTPUT_WORDS:
        return []
    if text.startswith("file:"):
        text = unquote(re.sub(r"^file:(//)?", "", text))
    for folder in folders:
        path = existing(text, folder)
        if path is not None:
            is_path = not path.is_dir() or _has_form_of_path(text) or bool(words & PATH_WORDS)
            return [path] if is_path and not _holds(path, folders[0]) else []
    if GLOB.search(text) and _has_form_of_path(text):
        return [path for folder in folders for path in _matches(text, folder)]
    parts = [part.strip() for part in re.split(r"[:,;]", text)]
    if len(parts) == 1 or "://" in text:
        return []
    named = [existing(part, folder) for part in parts if _has_form_of_path(part) for folder in folders]
    return [path for path in named if path is not None and not _holds(path, folders[0])]


def _words(key: str) -> set[str]:
    """The words of the last part of a dotted key: `chat`, `template` and `path` of `args.chat_template_path`."""
    return set(re.split(r"[_\W]+", key.lower().rpartition(".")[2]))


def _has_form_of_path(text: str) -> bool:
    return text in (".", "..") or "/" in text or text.startswith("~") or bool(re.search(r"\w\.\w+$", text))


def _holds(path: Path, folder: Path) -> bool:
    """Whether the experiment itself or its outputs lie there: `.`, the home folder, `/`."""
    inside = (folder.resolve(), outputs_root(folder).resolve())
    return any(each.is_relative_to(path.resolve()) for each in inside)


def _matches(pattern: str, folder: Path) -> list[Path]:
    """The files that fit a pattern, below the part of it that is no pattern."""
    fixed = GLOB.split(pattern, maxsplit=1)[0]
    parent = fixed[: fixed.rfind("/") + 1]
    rest = pattern[len(parent) :]
    base = existing(parent or ".", folder)
    if base is None or not base.is_dir():
        return []
    if "**" not in rest:
        return sorted(base.glob(rest))
    if _holds(base, folder):
        return []
    # A star of fnmatch goes over slashes, and `**/` may stand for no folder at all.
    wanted = re.compile(fnmatch.translate(rest.replace("**/", "*")))
    return [file for file in files_below(base, outputs_root(folder)) if wanted.fullmatch(str(file.relative_to(base)))]


def _is_regular(file: Path) -> bool:
    try:
        return file.is_file() and not os.path.realpath(file).startswith(NO_FILES)
    except OSError:
        return False
