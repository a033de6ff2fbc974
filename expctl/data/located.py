"""The data files that a `dataset` group names, where they are on this machine. Torch-free."""

from collections.abc import Mapping, Sequence
from typing import Any

from expctl.data import hub_location
from expctl.data.edits import AS_THEY_ARE, Edits
from expctl.data.location import data_files, spelled
from expctl.data.source import Source

FILES = "expctl.data.files.load"
HUB = "expctl.data.hub.load"
# Loaders of rows whose form is the user's, not ours.
LOADERS = (FILES, HUB)
# The split of `dataset=hub` that is trained on, unless another is named.
TRAINING_SPLIT = "train"


def training_source(options: Mapping[str, Any]) -> Source | None:
    """The data to train on; None where they are no files, or not here yet.

    Args:
        options: the resolved `dataset` group.

    Raises:
        FileNotFoundError, ValueError: there are none, and what to do about it.
    """
    if options.get("_target_") == FILES:
        return file_source(options["path"], "dataset.path", Edits.of(options))
    if options.get("_target_") == HUB:
        return hub_source(options, str(options.get("split") or TRAINING_SPLIT), "dataset.split")
    return None


def evaluation_source(options: Mapping[str, Any]) -> Source | None:
    """The data to evaluate on; None where rows are held out, or as `training_source`. Raises as that."""
    if options.get("_target_") == FILES and options.get("eval_path") is not None:
        return file_source(options["eval_path"], "dataset.eval_path", Edits.of(options))
    if options.get("_target_") == HUB and options.get("eval_split") is not None:
        return hub_source(options, str(options["eval_split"]), "dataset.eval_split")
    return None


def is_held_out(options: Mapping[str, Any]) -> bool:
    """Whether rows to evaluate on are taken from those to train on."""
    return options.get("eval_path") is None and options.get("eval_split") is None


def file_source(path: str | Sequence[str], key: str, edits: Edits = AS_THEY_ARE) -> Source:
    """The files that a key of the config names. Raises as `location.data_files`."""
    return Source(f"{key}={spelled(path)}", data_files(path, key=key), edits)


def hub_source(options: Mapping[str, Any], split: str, key: str) -> Source | None:
    """One split of a data set of the hub; None where it has to be downloaded. Raises as `hub_location.find`."""
    path, name, revision = str(options["path"]), options.get("name"), options.get("revision")
    files = hub_location.find(path, name=name, split=split, revision=revision, key=key)
    return None if files is None else Source(f"dataset.path={path}, split '{split}'", files, Edits.of(options))
