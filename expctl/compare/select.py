"""Which runs are meant: ids, beginnings, patterns, folders, sweeps, and filters on what a run is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

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
    if named or not filters:
        meant = dict.fromkeys(run for word in named for run in _sweep(word) or _runs(word)) if named else _last_sweep()
        found = [folder for folder in meant if folder.is_dir()]
        gone = [folder.name for folder in meant if not folder.is_dir()]
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


def _sweep(word: str) -> list[Path] | None:
    """The runs of a sweep: of its ledger's file, its id, or the beginning of the id of one where no run begins so."""
    path = Path(word).expanduser()
    if path.suffix == ".json" and path.is_file():
        if not (runs := _of_ledger(path)):
            what = f"{path} is no ledger of a sweep"
            raise Refusal(what, where=f"{word} (command line)", nearest=sorted(_sweeps())[:4])
        return runs
    sweeps = _sweeps(word)
    if word in sweeps or not sweeps or _called(word):
        return sweeps.get(word)
    if len(sweeps) > 1:
        raise Refusal(f"'{word}' is the beginning of {len(sweeps)} sweeps", where=f"{word} (command line)",
                      nearest=sorted(sweeps)[:8], do="type more of the id")  # fmt: skip
    return None if path.exists() else next(iter(sweeps.values()))


def _runs(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if (path / "run.json").is_file():
        return [path.resolve()]
    if path.is_dir() and (inside := _inside(path) or _inside(path / "outputs")):
        return inside
    if any(sign in word for sign in "*?["):
        found = _inside(outputs_root(), lambda name: fnmatchcase(name, word))
        if not found:
            raise Refusal(f"no run here is called like '{word}'", where=f"{word} (command line)", do="expctl ls")
        return found
    if found := _called(word):
        return found
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
    found = [run for run in folder.glob("*") if fits(run.name) and run.name not in (RERUNS, REPLACED)]
    return sorted((run.resolve() for run in found if (run / "run.json").is_file()), key=_begun)


def _begun(run: Path) -> tuple[str, str]:
    return recorded(Run(run)).started or "", run.name


def _ledgers() -> Iterator[Path]:
    return (outputs_root() / "sweeps").glob("*.json")


def _sweeps(beginning: str = "") -> dict[str, list[Path]]:
    """Id -> runs, of the sweeps whose id begins so."""
    return {file.stem: runs for file in _ledgers() if file.stem.startswith(beginning) and (runs := _of_ledger(file))}


def _last_sweep() -> list[Path]:
    """The runs of the ledger that was written last."""
    for file in sorted(_ledgers(), key=lambda file: file.stat().st_mtime, reverse=True):
        if runs := _of_ledger(file):
            return runs
    raise Refusal(
        f"nothing to compare: no sweep in {outputs_root() / 'sweeps'}",
        do="expctl compare RUN|SWEEP|key=value ..., or begin one: expctl -m algorithm=grpo,gfpo seed=0,1,2",
    )


def _of_ledger(file: Path) -> list[Path]:
    """The folders of a sweep's runs, be they there or not; none where a file is something else."""
    return [file.resolve().parent.parent / cell.run_id for cell in cells_of(file)]
