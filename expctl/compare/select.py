"""Which runs are meant: ids, beginnings, patterns, folders, sweeps, and filters on what a run is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from expctl.base.paths import REPLACED, RERUNS, outputs_root
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.runs.catalogue import catalogue, names
from expctl.runs.facts import facts
from expctl.runs.files import Run
from expctl.runs.filters import parse
from expctl.runs.find import find
from expctl.runs.ledger import cells_of
from expctl.runs.manifest import recorded

# A path is one that begins like one: groups and metrics have slashes, too.
_FILTER = re.compile(r"(?![./~])[^\s=!<>~*?]+\s*(!=|!~|<=|>=|=|<|>|~)")


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
    where = f"{' '.join(words)} (command line)"
    folders, gone = _named(named) if named or not filters else ([], [])
    if filters:
        listed = [(run, facts(run)) for run in map(Run, folders)] if named else _all_runs(where)
        keep = parse(filters, names(listed))
        folders = [run.folder for run, known in listed if keep(known)]
    if not folders:
        raise Refusal("no run is left to compare", where=where, do="expctl ls shows runs")
    return Selection(" ".join(words) or "the last sweep", folders, gone)


def _named(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The folders of the runs that are named, of the last sweep where none is; and the ids of those that are gone."""
    if words:
        folders = list(dict.fromkeys(folder for word in words for folder in _sweep(word) or _runs(word)))
    else:
        folders = _last_sweep()
    gone = [folder.name for folder in folders if not folder.is_dir()]
    return [folder for folder in folders if folder.is_dir()], gone


def _all_runs(where: str) -> list[tuple[Run, dict[str, Any]]]:
    """All runs of the outputs folder with their facts, in the order in which they were begun."""
    runs = catalogue(outputs_root())
    if not runs:
        raise Refusal(f"no runs in {outputs_root()}", where=where)
    return sorted(runs, key=lambda pair: (str(pair[1].get("started")), pair[0].run_id))


def _sweep(word: str) -> list[Path] | None:
    """The runs of a sweep: of its ledger's file, its id, or the beginning of the id of one where no run begins so."""
    path = Path(word).expanduser()
    if path.suffix == ".json" and path.is_file():
        runs = _of_ledger(path)
        if not runs:
            what = f"{path} is no ledger of a sweep"
            raise Refusal(what, where=f"{word} (command line)", nearest=sorted(_sweeps())[:4])
        return runs
    sweeps = _sweeps(word)
    if word in sweeps or not sweeps or _called(word):
        return sweeps.get(word)
    if len(sweeps) > 1:
        raise Refusal(
            f"'{word}' is the beginning of {len(sweeps)} sweeps",
            where=f"{word} (command line)",
            nearest=sorted(sweeps)[:8],
            do="type more of the id",
        )
    return None if path.exists() else next(iter(sweeps.values()))


def _runs(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if (path / "run.json").is_file():
        return [path.resolve()]
    inside = _inside(path) or _inside(path / "outputs") if path.is_dir() else []
    if inside:
        return inside
    if any(sign in word for sign in "*?["):
        matches = _inside(outputs_root(), lambda name: fnmatchcase(name, word))
        if not matches:
            raise Refusal(f"no run here is called like '{word}'", where=f"{word} (command line)", do="expctl ls")
        return matches
    namesakes = _called(word)
    if namesakes:
        return namesakes
    try:
        return [find(word).folder]
    except Refusal as refusal:
        refusal.nearest = [*refusal.nearest, *nearest(word, _sweeps())]
        raise


def _called(word: str) -> list[Path]:
    """The run of the outputs folder with that id, else those whose id begins so."""
    return _inside(outputs_root(), lambda name: name == word) or _inside(
        outputs_root(), lambda name: name.startswith(word)
    )


def _inside(folder: Path, fits: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """The runs in a folder whose names fit, by the time at which they were begun."""
    matches = [run for run in folder.glob("*") if fits(run.name) and run.name not in (RERUNS, REPLACED)]
    return sorted((run.resolve() for run in matches if (run / "run.json").is_file()), key=_begun)


def _begun(run: Path) -> tuple[str, str]:
    return recorded(Run(run)).started or "", run.name


def _ledgers() -> Iterator[Path]:
    return (outputs_root() / "sweeps").glob("*.json")


def _sweeps(beginning: str = "") -> dict[str, list[Path]]:
    """Id -> runs, of the sweeps whose id begins so."""
    runs = {file.stem: _of_ledger(file) for file in _ledgers() if file.stem.startswith(beginning)}
    return {sweep: folders for sweep, folders in runs.items() if folders}


def _last_sweep() -> list[Path]:
    """The runs of the ledger that was written last."""
    for file in sorted(_ledgers(), key=lambda file: file.stat().st_mtime, reverse=True):
        runs = _of_ledger(file)
        if runs:
            return runs
    raise Refusal(
        f"nothing to compare: no sweep in {outputs_root() / 'sweeps'}",
        do="expctl compare RUN|SWEEP|key=value ..., or begin one: expctl -m algorithm=grpo,gfpo seed=0,1,2",
    )


def _of_ledger(file: Path) -> list[Path]:
    """The folders of a sweep's runs, be they there or not; none where a file is something else."""
    return [file.resolve().parent.parent / cell.run_id for cell in cells_of(file)]
