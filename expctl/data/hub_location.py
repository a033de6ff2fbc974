"""Where a data set of the hub is on this machine. Torch-free, for the parent's check and the worker's loading."""

import difflib
from pathlib import Path

from expctl.base import hub
from expctl.data.hub_card import CARD, read_card, split_files


def find(path: str, *, name: str | None, split: str, revision: str | None, key: str) -> tuple[Path, ...] | None:
    """The files of one split, in their order; None where they have to be downloaded, and can be.

    Args:
        path: hub id, or a folder that is laid out like a repository of the hub.
        name: which of its data sets, where it has several.
        split: by the name that the data set has for it.
        revision: branch, tag or commit; None for the main branch.
        key: the config key of the split, for the message.

    Raises:
        FileNotFoundError: no copy is here, and the hub cannot be asked.
        ValueError: the data set has no such name or split.
    """
    folder = _folder(path, revision)
    if folder is not None:
        files = split_files(names_below(folder), read_card(folder / CARD), path, name=name, split=split, key=key)
        if files and all((folder / file).is_file() for file in files):
            return tuple(folder / file for file in files)
    reason = _cannot_ask(path)
    if reason is None:
        return None
    raise FileNotFoundError(_not_here(path, split, revision, reason, partly=folder is not None))


def names_below(folder: Path) -> list[str]:
    """The names of all files of a folder, relative to it; a download that was broken off leaves links to nothing."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def is_folder(path: str) -> bool:
    """Whether a path is a folder here, and no hub id."""
    return Path(path).expanduser().is_dir()


def _folder(path: str, revision: str | None) -> Path | None:
    local = Path(path).expanduser()
    if local.is_dir():
        if revision is not None:
            raise ValueError(f"dataset.revision={revision} is of the hub, and dataset.path={path} is a folder here.")
        return local
    if local.is_file():
        raise ValueError(f"dataset.path={path} is a file.\ndataset=files dataset.path={path}")
    return hub.cached_snapshot(path, repo_type="dataset", revision=revision or "main")


def _cannot_ask(path: str) -> str | None:
    """Why the data set cannot be downloaded, as the end of a sentence; None where it can."""
    if is_folder(path):
        return "that folder is all there is"
    if path.count("/") > 1 or path.startswith((".", "/", "~")):
        return "that is no hub id (ORG/NAME)"
    return hub.offline_reason()


def _not_here(path: str, split: str, revision: str | None, reason: str, *, partly: bool) -> str:
    at = f" at revision {revision}" if revision else ""
    what = f"the files of its split '{split}' are " if partly else ""
    message = f"dataset.path={path}: {what}not in the hub's cache{at} ({hub.cache_folder()}), and {reason}."
    if not partly:
        nearest = difflib.get_close_matches(path, hub.cached_ids("dataset"), n=1)
        message += f" Did you mean {nearest[0]}?" if nearest else ""
    download = f"hf download {path} --repo-type dataset{f' --revision {revision}' if revision else ''}"
    return (
        f"{message}\nwhere there is a network run: {download} --local-dir FOLDER   then copy the folder and give "
        "dataset.path=FOLDER"
    )
