"""`expctl sync [RUN|SWEEP|filters]`: upload to Weights & Biases what runs have recorded offline."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.base.wandb_key import has_wandb_key
from expctl.cli.options import take
from expctl.compare.select import select
from expctl.runs.catalogue import catalogue
from expctl.runs.files import Run
from expctl.runs.lock import is_held

USAGE = "expctl sync [RUN|SWEEP|FILTER ...]; without a word, all runs of the outputs folder"
# Recordings a call of wandb: a command line has a limit, and each call starts wandb anew.
BATCH_SIZE = 100


def main(words: list[str]) -> int:
    """Upload every recording that has not been uploaded yet; 0 when none is left, also where there was none."""
    _, words = take(words, usage=USAGE)
    recorded = {run: recordings(run) for run in _runs(words)}
    recorded = {run: folders for run, folders in recorded.items() if folders}
    waiting = {run: [folder for folder in folders if not is_uploaded(folder)] for run, folders in recorded.items()}
    under_way = [run for run in waiting if waiting[run] and is_held(run.lock)]
    to_do = {run: folders for run, folders in waiting.items() if folders and run not in under_way}
    for run in under_way:
        print(f"still running  {run.run_id}", flush=True)
    if not recorded:
        print("nothing was recorded offline by tracker=wandb")
    elif not to_do:
        print(f"{len(recorded) - len(under_way)} runs were uploaded before")
    return _upload(to_do) if to_do else EXIT_COMPLETED


def _runs(words: list[str]) -> list[Run]:
    if words:
        return [Run(folder) for folder in select(words).folders]
    return sorted((run for run, _ in catalogue(outputs_root(), everything=True)), key=lambda run: run.run_id)


def recordings(run: Run) -> list[Path]:
    """The folders that wandb has written offline, one an attempt, in that order."""
    folders = (run.folder / "wandb").glob("offline-run-*")
    return sorted(folder for folder in folders if any(folder.glob("*.wandb")) and not _leads_out(folder, run.folder))


def _leads_out(recording: Path, folder: Path) -> bool:
    """Whether a recording, or a link in it, lies outside of the run's folder: that is not the run's to send."""
    own = os.path.realpath(folder)
    links = [path for path in recording.rglob("*") if path.is_symlink()]
    return not all(Path(os.path.realpath(path)).is_relative_to(own) for path in (recording, *links))


def is_uploaded(recording: Path) -> bool:
    """Whether wandb has marked every file of a recording as sent."""
    return all(file.with_name(f"{file.name}.synced").exists() for file in recording.glob("*.wandb"))


def _upload(to_do: dict[Run, list[Path]]) -> int:
    """By wandb's own command, which keeps the attempts of a run in order and marks what has arrived."""
    if not has_wandb_key():
        raise Refusal(
            f"{len(to_do)} runs are to be uploaded, and no API key of Weights & Biases is set",
            do="export WANDB_API_KEY=..., or wandb login",
        )
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    code = EXIT_COMPLETED
    for runs in _batches(to_do):
        folders = [str(folder) for run in runs for folder in to_do[run]]
        code = subprocess.run([sys.executable, "-P", "-m", "wandb", "sync", *folders], env=environment).returncode
        if code:
            break
    left = [run for run, folders in to_do.items() if not all(map(is_uploaded, folders))]
    for run in to_do:
        print(f"{'not uploaded' if run in left else 'uploaded'}  {run.run_id}")
    if left:
        reason = f"wandb sync ended with {code}" if code else "wandb sync did not mark them as sent"
        print(f"expctl: {len(left)} of {len(to_do)} runs are left: {reason}; the same command goes on", file=sys.stderr)
    return EXIT_FAILED if left else EXIT_COMPLETED


def _batches(to_do: dict[Run, list[Path]]) -> Iterator[list[Run]]:
    """The runs in batches; the recordings of one run are never split."""
    batch: list[Run] = []
    count = 0
    for run in to_do:
        if batch and count + len(to_do[run]) > BATCH_SIZE:
            yield batch
            batch, count = [], 0
        batch.append(run)
        count += len(to_do[run])
    if batch:
        yield batch
