"""Which checkpoints nobody needs any more: all but the last, the best, and those that another run has started from."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.runs import manifest
from expctl.runs.checkpoints import CHECKSUMS, complete, found, step_of
from expctl.runs.files import Run, read_json
from expctl.runs.handed_on import best_step
from expctl.runs.lock import Lock, LockedError, is_held
from expctl.runs.ranks import alive


@dataclass(frozen=True)
class Prunable:
    """Checkpoints of a run that can go. `kept`: name of each other -> why it stays; `size`: bytes that are freed."""

    run: Run
    checkpoints: list[Path]
    kept: dict[str, str]
    size: int


def prunable(run: Run, started_from: Iterable[Path]) -> Prunable:
    """What of a run's checkpoints can go; nothing of a run that is alive.

    Args:
        run: with any status.
        started_from: folders of the checkpoints that any run has started from.
    """
    checkpoints = found(run.checkpoints)
    whole = sorted(complete(run.checkpoints), key=step_of)
    kept: dict[str, str] = {}
    if is_alive(run):
        kept = {path.name: "the run is alive" for path in checkpoints}
    if whole:
        kept.setdefault(whole[-1].name, "the last")
        for step in _best_steps(run, whole[-1]):
            kept.setdefault(f"checkpoint-{step}", "the best")
    needed = {folder.resolve() for folder in started_from}
    kept |= {path.name: "another run has started from it" for path in checkpoints if path.resolve() in needed}
    gone = sorted((path for path in checkpoints if path.name not in kept), key=step_of)
    there = {path.name for path in checkpoints}
    return Prunable(run, gone, {name: why for name, why in kept.items() if name in there}, sum(map(_size, gone)))


def is_alive(run: Run) -> bool:
    """Whether a command has the run, or ranks of one that was killed are still saving."""
    return is_held(run.lock) or bool(alive(run))


def started_from(runs: Iterable[Run]) -> list[Path]:
    """The checkpoints that these runs have started from, the adapter's bases among them."""
    folders = []
    for run in runs:
        try:
            lineage = manifest.recorded(run).lineage
        except Refusal:  # a newer expctl has written it
            continue
        if lineage is not None and lineage.folder is not None and lineage.step is not None:
            folders.append(Run(Path(lineage.folder)).checkpoints / f"checkpoint-{lineage.step}")
    return folders


def prune(prunable: Prunable) -> bool:
    """Delete the checkpoints, with the run's lock held; False where somebody has taken the run meanwhile.

    Raises:
        OSError: a file cannot be deleted. What is left of its checkpoint no longer counts as one.
    """
    try:
        held = Lock(prunable.run.lock)
    except LockedError:
        return False
    try:
        for checkpoint in prunable.checkpoints:
            (checkpoint / CHECKSUMS).unlink(missing_ok=True)
            shutil.rmtree(checkpoint)
    finally:
        held.release()
    return True


def _best_steps(run: Run, last: Path) -> set[int]:
    """The step of the best checkpoint by the run's results, and by what its last checkpoint will load at its end."""
    recorded = mapping(read_json(last / "trainer_state.json")).get("best_global_step")
    steps = {best_step(run), recorded if isinstance(recorded, int) else None}
    return {step for step in steps if step is not None}


def _size(checkpoint: Path) -> int:
    return sum(file.lstat().st_size for file in checkpoint.rglob("*") if file.is_file())
