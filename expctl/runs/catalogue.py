"""All runs of an outputs folder with their facts: ten thousand in a second, after the first time.

What was read is remembered in one file of the cache for each folder, and holds for a run while its run.json,
config.yaml and summary.json are the files that were read (time, size, inode). The runs' own files stay the only truth:
a cache that is lost, damaged or cannot be written costs nothing but the time of reading again.
"""

import contextlib
import gc
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import xxhash

import expctl
from expctl.base import plain_data
from expctl.base.notice import notice
from expctl.base.paths import REPLACED, RERUNS, cache_root
from expctl.runs import facts as facts_of
from expctl.runs import records
from expctl.runs.facts import recorded_facts, with_current_status
from expctl.runs.files import Run, write_whole

Facts = dict[str, Any]
# Of each file of a run its time of change (ns), size and inode; empty where it is missing.
Stamp = list[list[int]]
# Reading so many for the first time takes long enough to say so.
MANY = 500


def catalogue(outputs: Path, *, everything: bool = False) -> list[tuple[Run, Facts]]:
    """The runs of an outputs folder with their facts (see `expctl.runs.facts`), in no order.

    `everything`: also those that were done again, and those that force=true has replaced. A folder without a run.json
    is no run and is passed over.
    """
    folders = [outputs, *([outputs / RERUNS, outputs / REPLACED] if everything else [])]
    with _no_collecting():
        return [each for folder in folders for each in _in_folder(folder)]


def latest(outputs: Path) -> Run | None:
    """The run of a folder whose manifest was written last, when an attempt started or ended."""
    written = [(stamp[0][0], name) for name, stamp in _stamps(outputs).items()]
    return Run(outputs / max(written)[1]) if written else None


def names(runs: Iterable[tuple[Run, Facts]]) -> set[str]:
    """The keys that can be asked for: those of any run, and those that any run may have."""
    return set(facts_of.ALWAYS).union(*{tuple(facts) for _, facts in runs})


def _in_folder(folder: Path) -> list[tuple[Run, Facts]]:
    stamps = _stamps(folder)
    if not stamps:
        return []
    index = _Index(folder)
    unread = sum(not index.has(name, stamp) for name, stamp in stamps.items())
    if unread >= MANY:
        notice(f"reading {unread:,} runs for the first time")
    runs = []
    for name, stamp in stamps.items():
        run = Run(folder / name)
        known = index.get(name, stamp) or index.put(name, stamp, recorded_facts(run))
        runs.append((run, with_current_status(run, known)))
    index.save(stamps)
    return runs


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Name -> stamp of each run in a folder."""
    stamps = ((name, _stamp(f"{folder}/{name}")) for name in _folders(folder))
    return {name: stamp for name, stamp in stamps if stamp is not None}


def _folders(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())


def _stamp(folder: str) -> Stamp | None:
    """A stamp that changes with a run's files; None where there is no run."""
    stamp: Stamp = []
    for name in ("run.json", "config.yaml", "summary.json"):
        try:
            stat = os.stat(f"{folder}/{name}")
            stamp.append([stat.st_mtime_ns, stat.st_size, stat.st_ino])
        except OSError:
            if not stamp:
                return None
            stamp.append([])
    return stamp


class _Index:
    """The facts of the runs of one folder, in a file. Runs with the same keys share them, so that it stays small."""

    def __init__(self, folder: Path):
        folder_hash = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        self._path = cache_root() / "runs" / f"{folder_hash}.json"
        # The key lists that occur, and of each run its stamp, the number of its key list, and its values.
        self._keys: list[list[str]] = []
        self._runs: dict[str, tuple[Stamp, int, list[Any]]] = {}
        self._changed = False
        kept = _checked(self._path)
        if kept and kept["made_by"] == _made_by():
            self._keys, self._runs = kept["keys"], kept["runs"]
        self._numbers = {tuple(keys): number for number, keys in enumerate(self._keys)}

    def has(self, name: str, stamp: Stamp) -> bool:
        """Whether the run was read in this state."""
        return name in self._runs and self._runs[name][0] == stamp

    def get(self, name: str, stamp: Stamp) -> Facts | None:
        """The facts of a run that was read in this state."""
        if not self.has(name, stamp):
            return None
        _, number, values = self._runs[name]
        return dict(zip(self._keys[number], values, strict=True))

    def put(self, name: str, stamp: Stamp, facts: Facts) -> Facts:
        """Keep the facts of a run in this state, and return them."""
        number = self._numbers.setdefault(tuple(facts), len(self._keys))
        if number == len(self._keys):
            self._keys.append(list(facts))
        self._runs[name] = (stamp, number, list(facts.values()))
        self._changed = True
        return facts

    def save(self, present: Iterable[str]) -> None:
        """Write the index, without the runs that are gone."""
        gone = self._runs.keys() - present
        if not self._changed and not gone:
            return
        kept = {name: entry for name, entry in self._runs.items() if name not in gone}
        content = {"made_by": _made_by(), "keys": self._keys, "runs": kept}
        with contextlib.suppress(OSError, TypeError):  # a cache that cannot be written is none
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content, separators=(",", ":"))
            write_whole(self._path, f"{_checksum(text)}\n{text}")


def _checked(path: Path) -> dict[str, Any] | None:
    """The content of an index; None where there is none, or its checksum is wrong."""
    try:
        checksum, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    if checksum != _checksum(text):
        return None
    content: dict[str, Any] = json.loads(text)
    return content


def _checksum(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode())


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """Without garbage collection: a million small objects are made, and to look for garbage would double the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _made_by() -> list[Any]:
    """The version of the code that reads the facts."""
    files = (__file__, facts_of.__file__, plain_data.__file__, records.__file__)
    return [expctl.__version__, [os.stat(file).st_mtime_ns for file in files]]
