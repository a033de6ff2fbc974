"""Which runs are meant: ids, beginnings, patterns, folders, sweeps, and filters on what a run is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from expctl.config.refusal import Refusal
from expctl.config.suggest import nearest
from expctl.places import REPLACED, RERUNS, outputs_root
from expctl.runs.catalogue import catalogue, names
from expctl.runs.facts import facts
from expctl.runs.files import Run, read_json
from expctl.runs.filters import parse
from expctl.runs.find import find

_FILTER = re.compile(r"[^\s=!<>~/*?]+\s*(!=|!~|<=|>=|=|<|>|~)")


@dataclass(frozen=True)
class Selection:
    """`asked`: what was meant, in words; `folders` in the order in which runs were named or made; `gone`: runs that a
    ledger names and that are no longer there."""

    asked: str
    folders: list[Path]
    gone: list[str]


def select(words: Sequence[str]) -> Selection:
    """The runs that words mean: runs and sweeps by name, less those that a filter leaves out.

    Raises:
        Refusal: a word means nothing here, or nothing is left.
    """
    filters = [word for word in words if _FILTER.match(word) and not Path(word).exists()]
    named = [word for word in words if word not in filters]
    if named or not filters:
        found, gone = _named(named or [str(_latest_sweep())])
        told = [(run, facts(run)) for run in map(Run, found)] if filters else []
    else:
        found, gone, told = [], [], catalogue(outputs_root())
        told.sort(key=lambda pair: (str(pair[1].get("started")), pair[0].run_id))
        if not told:
            raise Refusal(f"no runs in {outputs_root()}", where=" ".join(words) + " (command line)")
    if filters:
        keep = parse(filters, names(told))
        found = [run.folder for run, known in told if keep(known)]
    if not found:
        raise Refusal("no run is left to compare", where=f"{' '.join(words)} (command line)", do="expctl ls shows runs")
    return Selection(" ".join(words) or "the last sweep", found, gone)


def _named(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    folders: dict[Path, None] = {}
    gone: list[str] = []
    for word in words:
        ledger = _ledger(word)
        cells = [cell["run_id"] for cell in _cells(ledger)] if ledger else []
        those = [ledger.resolve().parent.parent / name for name in cells] if ledger else _runs(word)
        gone += [folder.name for folder in those if not folder.is_dir()]
        folders |= dict.fromkeys(folder for folder in those if folder.is_dir())
    return list(folders), gone


def _ledger(word: str) -> Path | None:
    """The ledger of a sweep: its file, its id, or the beginning of the id of one where no run begins so."""
    path, sweeps = Path(word).expanduser(), _sweeps()
    if path.suffix == ".json" and path.is_file():
        if not _cells(path):
            raise Refusal(f"{path} is no ledger of a sweep", where=f"{word} (command line)", nearest=sorted(sweeps)[:4])
        return path
    if word in sweeps:
        return sweeps[word]
    beginning = [ledger for name, ledger in sweeps.items() if name.startswith(word)]
    if len(beginning) > 1 and not _beginning(word):
        listed = sorted(ledger.stem for ledger in beginning)
        raise Refusal(f"'{word}' is the beginning of {len(listed)} sweeps", where=f"{word} (command line)",
                      nearest=listed[:8], do="type more of the id")  # fmt: skip
    return beginning[0] if beginning and not _beginning(word) and not path.exists() else None


def _runs(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if (path / "run.json").is_file():
        return [path.resolve()]
    if path.is_dir() and (inside := _inside(path) or _inside(path / "outputs")):
        return inside
    if any(sign in word for sign in "*?["):
        found = [folder for folder in _inside(outputs_root()) if fnmatchcase(folder.name, word)]
        if not found:
            raise Refusal(f"no run here is called like '{word}'", where=f"{word} (command line)", do="expctl ls")
        return found
    if found := _beginning(word):
        return found
    try:
        return [find(word).folder]
    except Refusal as refusal:
        refusal.nearest = [*refusal.nearest, *nearest(word, _sweeps())]
        raise


def _beginning(word: str) -> list[Path]:
    """The runs of this folder with that id, else those whose id begins so."""
    runs = _inside(outputs_root())
    return [run for run in runs if run.name == word] or [run for run in runs if run.name.startswith(word)]


def _inside(folder: Path) -> list[Path]:
    """The runs in a folder, by the time of their beginning as the file system tells it."""
    found = [file.parent for file in folder.glob("*/run.json") if file.parent.name not in (RERUNS, REPLACED)]
    return sorted((run.resolve() for run in found), key=_made)


def _made(run: Path) -> tuple[str, str]:
    told = read_json(run / "run.json")
    return str(told.get("started")) if isinstance(told, dict) else "", run.name


def _sweeps() -> dict[str, Path]:
    return {file.stem: file for file in (outputs_root() / "sweeps").glob("*.json") if _cells(file)}


def _latest_sweep() -> Path:
    sweeps = sorted(_sweeps().values(), key=lambda file: file.stat().st_mtime)
    if not sweeps:
        raise Refusal(
            f"nothing to compare: no sweep in {outputs_root() / 'sweeps'}",
            do="expctl compare RUN|SWEEP|key=value ..., or begin one: expctl -m algorithm=grpo,gfpo seed=0,1,2",
        )
    return sweeps[-1]


def _cells(ledger: Path) -> list[dict[str, Any]]:
    """The cells of a ledger, those of an earlier, larger grid too; none where a file is something else."""
    content = read_json(ledger)
    cells = content.get("cells") if isinstance(content, dict) else None
    return [cell for cell in cells if isinstance(cell, dict) and isinstance(cell.get("run_id"), str)] if isinstance(
        cells, list
    ) else []  # fmt: skip
