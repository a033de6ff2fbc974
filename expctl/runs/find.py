"""Find a run by its id, the beginning of one, its name, or its folder."""

import os
from pathlib import Path

from expctl.base.paths import RERUNS, outputs_root
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.runs.files import Run
from expctl.runs.output_folders import outputs_folders

MOST_NAMED = 8


def find(word: str) -> Run:
    """The run that `word` names, looked for in the outputs of the working folder, then in all known outputs folders.

    Raises:
        Refusal: no run has this name, several have, or the folder holds no run.
    """
    if word.startswith("name="):
        return _labelled(word)
    path = Path(word).expanduser()
    if _is_run(path):
        return Run(path.resolve())
    if os.sep in word:
        raise _no_run_in(path, word)
    here = outputs_root()
    for folders in ([here], [here / RERUNS], outputs_folders(), [outputs / RERUNS for outputs in outputs_folders()]):
        matches = _called(word, folders)
        if len(matches) > 1:
            raise _ambiguous(word, matches)
        if matches:
            return Run(matches[0].resolve())
    raise _no_run_in(path, word) if path.is_dir() else _unknown(word, here)


def _labelled(word: str) -> Run:
    """The run of the outputs folder with this name (the root key `name`)."""
    from expctl.runs.catalogue import catalogue

    runs = catalogue(outputs_root())
    folders = [run.folder for run, facts in runs if str(facts.get("name")) == word.removeprefix("name=")]
    if len(folders) > 1:
        raise _ambiguous(word, folders)
    if not folders:
        labels = {f"name={facts['name']}" for _, facts in runs if facts.get("name")}
        where = f"{word} (command line)"
        raise Refusal(f"no run has the {word}", where=where, nearest=nearest(word, labels), do="expctl ls")
    return Run(folders[0].resolve())


def _called(word: str, folders: list[Path]) -> list[Path]:
    """The runs with this id, else those whose id begins with the word."""
    exact = [folder / word for folder in folders if _is_run(folder / word)]
    if exact or not word:
        return exact
    return [folder / name for folder in folders for name in _names(folder, word)]


def _names(folder: Path, beginning: str = "") -> list[str]:
    """The ids of the runs in a folder that begin so, sorted."""
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith(beginning) and _is_run(folder / name))
    except OSError:
        return []


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _no_run_in(path: Path, word: str) -> Refusal:
    inside = _names(path) or _names(path / "outputs")
    what = f"no run in the folder {path}: it has no run.json" if path.is_dir() else f"no folder '{path}'"
    return Refusal(what, where=f"{word} (command line)", nearest=inside[:MOST_NAMED])


def _ambiguous(word: str, matches: list[Path]) -> Refusal:
    """A refusal that names the matching runs, the latest first: by their ids, or by paths where these are the same."""
    matches = sorted(matches, key=lambda folder: (folder / "run.json").stat().st_mtime, reverse=True)
    by_id = len({folder.name for folder in matches}) == len(matches)
    named = [folder.name if by_id else str(folder) for folder in matches]
    more = [f"and {len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    what = f"'{word}' is the beginning of {len(matches)} runs" if by_id else f"{len(matches)} runs are called '{word}'"
    if word.startswith("name="):
        what = f"{len(matches)} runs have the {word}"
    return Refusal(
        what,
        where=f"{word} (command line)",
        nearest=named[:MOST_NAMED] + more,
        do="type more of the id" if by_id else "type the path of one",
    )


def _unknown(word: str, here: Path) -> Refusal:
    known = {name for folder in (here, *outputs_folders()) for name in _names(folder)}
    return Refusal(
        f"no run is called '{word}'",
        where=f"{word} (command line)",
        nearest=nearest(word, known),
        do=f"runs of this folder lie in {here}; a path of a run's folder leads to any other",
    )
