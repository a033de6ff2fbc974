"""Acquire the run of an experiment: create it, resume it, or report it complete."""

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from expctl.base.exit_codes import EXIT_REFUSED
from expctl.base.experiment import Experiment
from expctl.base.notice import notice
from expctl.base.paths import REPLACED, first_free, outputs_of
from expctl.runs import manifest, provenance, ranks
from expctl.runs.bundle import describe, describe_again, description, put_back
from expctl.runs.checkpoints import last_complete, refuse_foreign, step_of
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, run_of
from expctl.runs.lock import Lock, LockedError
from expctl.runs.records import Manifest

SAVING_SECONDS = 120.0


@dataclass
class Claim:
    """An acquired run, or a completed one.

    `held` is its lock, None for a completed run, whose manifest is `done`. `new`: the run did not exist before.
    `checkpoint`: the one to resume from. `replaced`: where force=true has moved an earlier run. `before`: the manifest
    before the attempt that is under way. `described`: what described an unfinished run before the typed experiment took
    its place, which differs in immaterial settings.
    """

    run: Run
    held: Lock | None = None
    new: bool = False
    done: Manifest | None = None
    checkpoint: Path | None = None
    replaced: Path | None = None
    before: Manifest | None = None
    described: dict[Path, bytes] = field(default_factory=dict)

    @property
    def from_step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint else 0


def claim(experiment: Experiment, folder: Path | None = None) -> Claim:
    """Acquire the run of an experiment: create it, resume it, or report it complete.

    `folder`: where the run is or is to be, when not under its own id in the outputs.

    Raises:
        expctl.runs.lock.LockedError: the run is alive elsewhere.
        expctl.runs.checkpoints.ForeignCheckpointError: what it would be carried on from is not this user's own.
        OSError: the folder cannot be written.
    """
    hashed = config_hash(experiment)
    run = Run(folder) if folder else run_of(experiment, hashed)
    if not experiment.forced and (done := _completed(run)):
        return Claim(run, done=done)
    run.folder.mkdir(parents=True, exist_ok=True)
    held = Lock(run.lock)
    try:
        return _take_over(run, held, experiment, hashed)
    except BaseException:
        held.release()
        if not run.manifest.exists():  # nothing is left of what could not be begun
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _take_over(run: Run, held: Lock, experiment: Experiment, hashed: str) -> Claim:
    _wait_for_ranks(run)
    # Only now is it certain that nobody else works on it.
    recorded = manifest.settled(run)
    forced, replaced = 0, None
    if recorded and experiment.forced:
        forced = recorded.forced + 1
        replaced = _move_to_replaced(run)
        run.folder.mkdir(parents=True, exist_ok=True)
        held_before, held, recorded = held, Lock(run.lock), None
        held_before.release()
    if recorded and recorded.status == manifest.COMPLETED:
        held.release()
        return Claim(run, done=recorded)
    described = {}
    if recorded:
        before = description(run)
        for change in describe_again(run, experiment):
            notice(change)
            described = before
    else:
        describe(run, experiment, hashed, forced)
    checkpoint = last_complete(run.checkpoints)
    if checkpoint:
        refuse_foreign(checkpoint)
    return Claim(run, held=held, new=recorded is None, checkpoint=checkpoint, replaced=replaced, described=described)


def undo(claimed: Claim) -> None:
    """Leave nothing of an attempt that was refused before it began: no new run, and an earlier one as it was."""
    run = claimed.run
    if claimed.new:
        leftover = run.folder.with_name(f".{run.run_id}.refused")
        run.folder.rename(leftover)  # at once, so that whoever claims the run now finds nothing of it
        shutil.rmtree(leftover, ignore_errors=True)
        if claimed.replaced:
            claimed.replaced.rename(run.folder)
        with contextlib.suppress(OSError):  # other runs are there
            run.folder.parent.rmdir()
    elif claimed.before:
        manifest.undo_attempt(run, claimed.before)
        put_back(claimed.described)
    if claimed.held:
        claimed.held.release()


def leave_refused(experiment: Experiment, error: str | None) -> None:
    """A failed run that says why it was refused: who waits for it on another machine has only its files to read."""
    claimed = claim(experiment)
    if claimed.held is None:
        return
    manifest.start_attempt(claimed.run, claimed.from_step, provenance.versions())
    manifest.end_attempt(claimed.run, manifest.FAILED, to_step=None, exit_code=EXIT_REFUSED, error=error)
    claimed.held.release()


def _completed(run: Run) -> Manifest | None:
    recorded = manifest.read(run) if run.folder.is_dir() else None
    return recorded if recorded and recorded.status == manifest.COMPLETED else None


def _wait_for_ranks(run: Run) -> None:
    """A command that was killed may have left ranks that are still saving; two attempts must not write at once."""
    left = ranks.alive(run)
    if left:
        notice(f"the ranks of a command that was killed are still saving: waiting for process {left[0].pid}")
        if not ranks.wait_for_end(run, SAVING_SECONDS):
            raise LockedError(left[0])


def _move_to_replaced(run: Run) -> Path:
    """Move an earlier attempt to `outputs/replaced/`, under the first free number."""
    replaced = outputs_of(run.folder) / REPLACED
    replaced.mkdir(exist_ok=True)
    return run.folder.rename(replaced / f"{run.run_id}-{first_free(replaced, run.run_id)}")
