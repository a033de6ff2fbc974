"""What a job of a scheduler is told: an experiment as plain YAML in the folder of its submission, signed by the user.

The job, on another machine, executes what stands there. So it is read as data, and only where this user wrote it.
"""

import hmac
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from expctl.base.experiment import Experiment
from expctl.runs.files import write_yaml
from expctl.runs.reading import MOST_BYTES, open_plain
from expctl.runs.seal import key_file, sign

FORMAT = 1
PATHS = ("folder", "code")


class ForeignSubmissionError(Exception):
    """A file of a submission that this user's expctl has not written; the text says why."""


def write(folder: Path, number: int, experiment: Experiment, run_id: str) -> None:
    """Write down cell `number` of a submission: its experiment, and the id of the run that it is to be.

    Raises:
        OSError: the file cannot be written.
    """
    kept = {field.name: getattr(experiment, field.name) for field in fields(experiment)}
    kept |= {name: str(kept[name]) for name in PATHS if kept[name] is not None}
    content = {"format": FORMAT, "run_id": run_id, "experiment": kept | {"overrides": list(kept["overrides"])}}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_yaml(_file(folder, number), {"hmac": _signature(folder, number, text, make=True), "content": text})


def read(folder: Path, number: int) -> tuple[Experiment, str]:
    """The experiment of cell `number`, and the id of its run.

    Raises:
        ForeignSubmissionError: this user's expctl has not written it, or in another format.
        OSError: it is not there.
    """
    file = _file(folder, number)
    try:
        with open_plain(file) as opened:
            if os.fstat(opened.fileno()).st_uid != os.getuid():
                raise ForeignSubmissionError(f"{file} belongs to another user")
            submitted = yaml.safe_load(opened.read(MOST_BYTES))
        text, signature = submitted["content"], submitted["hmac"]
        _check(file, signature, _signature(folder, number, text))
        content = yaml.safe_load(text)
        if content["format"] != FORMAT:
            raise ForeignSubmissionError(f"{file} was written by another version of expctl")
        return _experiment(content["experiment"]), content["run_id"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise ForeignSubmissionError(f"{file} is no submission: {error}") from error


def _check(file: Path, signature: str | None, right: str | None) -> None:
    """Where no key can be kept there is no signature, and the owner of the file is all that tells whose it is."""
    if signature is None and right is None:
        return
    if signature is None or right is None or not hmac.compare_digest(signature, right):
        raise ForeignSubmissionError(f"{file} is not signed with your key ({key_file()})")


def _signature(folder: Path, number: int, text: str, *, make: bool = False) -> str | None:
    """Of the text in its place, so that no cell takes another's; None where there is no key."""
    try:
        return sign(f"{folder.name}/{number}\n{text}".encode(), make=make)
    except (OSError, ValueError):
        return None


def _experiment(kept: dict[str, Any]) -> Experiment:
    return Experiment(**kept | {name: Path(kept[name]) for name in PATHS if kept[name] is not None})


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.yaml"
