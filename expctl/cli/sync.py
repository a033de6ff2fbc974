"""`expctl sync [RUN|SWEEP|filters]`: hand up to Weights & Biases what runs have recorded offline."""

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
# So many recordings a call: a command line has a limit, and each call starts wandb anew.
AT_ONCE = 100


def main(words: list[str]) -> int:
    """Hand up every recording that has not been yet; 0 when none is left, also where there was none."""
    _, words = take(words, usage=USAGE)
    recorded = {run: recordings(run) for run in _runs(words)}
    recorded = {run: folders for run, folders in recorded.items() if folders}
    waiting = {run: [folder for folder in folders if not handed_up(folder)] for run, folders in recorded.items()}
    under_way = [run for run in waiting if waiting[run] and is_held(run.lock)]
    to_do = {run: folders for run, folders in waiting.items() if folders and run not in under_way}
    for run in under_way:
        print(f"still running  {run.run_id}", flush=True)
    if not recorded:
        print("nothing was recorded offline by tracker=wandb")
    elif not to_do:
        print(f"{len(recorded) - len(under_way)} runs were handed up before")
    return _hand_up(to_do) if to_do else EXIT_COMPLETED


def _runs(words: list[str]) -> list[Run]:
    if words:
        return [Run(folder) for folder in select(words).folders]
    return sorted((run for run, _ in catalogue(outputs_root(), everything=True)), key=lambda run: run.run_id)


def recordings(run: Run) -> list[Path]:
    """The folders that wandb has written offline, one an attempt, in that order."""
    found = (run.folder / "wandb").glob("offline-run-*")
    return sorted(folder for folder in found if any(folder.glob("*.wandb")) and not _leads_out(folder, run.folder))


def _leads_out(recording: Path, folder: Path) -> bool:
    """Whether a recording, or a link in it, lies outside of the run's folder: that is not the run's to send."""
    own = os.path.realpath(folder)
    links = [path for path in recording.rglob("*") if path.is_symlink()]
    return not all(Path(os.path.realpath(path)).is_relative_to(own) for path in (recording, *links))


def handed_up(recording: Path) -> bool:
    """Whether wandb has marked every file of a recording as sent."""
    return all(file.with_name(f"{file.name}.synced").exists() for file in recording.glob("*.wandb"))


def _hand_up(to_do: dict[Run, list[Path]]) -> int:
    """By wandb's own command, which keeps the attempts of a run in order and marks what has arrived."""
    if not has_wandb_key():
        raise Refusal(
            f"{len(to_do)} runs wait to be handed up, and no key of Weights & Biases is set",
            do="export WANDB_API_KEY=..., or wandb login",
        )
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    code = EXIT_COMPLETED
    for runs in _batches(to_do):
        folders = [str(folder) for run in runs for folder in to_do[run]]
        code = subprocess.run([sys.executable, "-P", "-m", "wandb", "sync", *folders], env=environment).returncode
        if code:
            break
    left = [run for run, folders in to_do.items() if not all(map(handed_up, folders))]
    for run in to_do:
        print(f"{'not handed up' if run in left else 'handed up'}  {run.run_id}")
    if left:
        said = f"wandb sync ended with {code}" if code else "wandb sync did not mark them as sent"
        print(f"expctl: {len(left)} of {len(to_do)} runs wait still: {said}; the same command goes on", file=sys.stderr)
    return EXIT_FAILED if left else EXIT_COMPLETED


def _batches(to_do: dict[Run, list[Path]]) -> Iterator[list[Run]]:
    """Runs together, never one in two calls."""
    batch: list[Run] = []
    for run in to_do:
        if batch and sum(len(to_do[one]) for one in [*batch, run]) > AT_ONCE:
            yield batch
            batch = []
        batch.append(run)
    if batch:
        yield batch
