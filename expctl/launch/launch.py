"""Launch a claimed run, watch it, and record what became of it."""

import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from expctl.base.engine import starts_server
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from expctl.base.ports import HeldPort, NoPortError, rendezvous_variables
from expctl.launch.command import is_alone_with_engine, worker_command, worker_environment
from expctl.launch.engine_server import EngineServer
from expctl.launch.process import Signals, Start, Workers, pause
from expctl.runs import manifest, provenance, ranks
from expctl.runs.checkpoints import ASIDE
from expctl.runs.claim import Claim, undo
from expctl.runs.files import Run
from expctl.runs.records import Manifest, ProgressState, Summary, WorkerOutcome

LOOK_SECONDS = 0.05
# How long the other ranks of an attempt that was refused may take to leave.
LEAVE_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """What became of one experiment; `objective` is what a sweep optimises.

    `wrong`: why the worker refused to begin, dicts of `what`, `key` and `do`; `trace` is the traceback of the first.
    """

    exit_code: int
    status: str = manifest.REFUSED
    error: str | None = None
    objective: float | None = None
    wrong: Sequence[Mapping[str, str]] = ()
    trace: str | None = None

    @classmethod
    def of_completed(cls, run: Run) -> "Outcome":
        summary = Summary.read(run.summary) or Summary()
        return cls(EXIT_COMPLETED, manifest.COMPLETED, objective=summary.objective)


class Display(Protocol):
    """Shows what runs while it is entered; see `expctl.report`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def look(self) -> None:
        """Show what is new."""


class Attempt:
    """One attempt at a claimed run, under way; see `begin`."""

    def __init__(
        self,
        claimed: Claim,
        config: dict[str, Any],
        folder: Path,
        start: Start = Workers,
        devices: Mapping[str, str] = MappingProxyType({}),
    ):
        """`start` makes the child process; `devices`: environment variables that say which devices are its own."""
        self.claimed = claimed
        self.received: str | None = None
        begin_attempt(claimed)
        environment = worker_environment(claimed.run, config, folder) | dict(devices)
        self._server = EngineServer(claimed.run, config, environment, folder) if starts_server(config) else None
        if self._server is not None:
            environment |= self._server.of_workers
        self._port = HeldPort() if is_alone_with_engine(config) else None
        if self._port is not None:
            environment |= rendezvous_variables(self._port)
        try:
            self._workers = start(worker_command(claimed.run, config["hardware"]), environment, claimed.run, folder)
        except BaseException:
            self._end_engines()
            raise

    def poll(self) -> Outcome | None:
        """The outcome, settled in the manifest, or None while the attempt goes on."""
        code = self._workers.poll()
        trouble = self._server.trouble() if self._server is not None and code is None else None
        if code is None and trouble is None:
            return None
        self._workers.stop_now()
        self._end_engines()
        return settle(self.claimed, EXIT_FAILED if code is None else code, self.received, trouble)

    def _end_engines(self) -> None:
        """End the run's own server, and give the port of its own engine back."""
        if self._server is not None:
            self._server.stop()
        if self._port is not None:
            self._port.close()

    def stop(self, received: str, *, at_once: bool) -> None:
        """Have the workers save and stop, or stop at once; `received`: the signal that asked for it."""
        self.received = self.received or received
        if at_once:
            self._workers.stop_now()
        else:
            self._workers.stop()


def begin(
    claimed: Claim,
    config: dict[str, Any],
    folder: Path,
    start: Start = Workers,
    devices: Mapping[str, str] = MappingProxyType({}),
) -> Attempt | Outcome:
    """Begin an attempt; the settled outcome where its files cannot be written, for example on a full disk.

    Args as those of `Attempt`.
    """
    try:
        return Attempt(claimed, config, folder, start, devices)
    except OSError as error:
        return not_begun(claimed, error)


def not_begun(claimed: Claim, error: OSError) -> Outcome:
    """Settle a claimed run whose files could not be written before its workers started; its lock is released."""
    return settle(claimed, EXIT_FAILED, None, unwritten(error, claimed.run))


def unwritten(error: OSError, run: Run) -> str:
    """Which file of a run could not be written, and why. Of a full disk the kernel names no file."""
    if isinstance(error, NoPortError):
        return str(error.strerror)
    return f"{error.filename or run.folder} cannot be written: {error.strerror or error}"


def launch(claimed: Claim, config: dict[str, Any], folder: Path, display: Callable[[Run, int], Display]) -> Outcome:
    """Run the workers to their end under the signal layer. `display`: of a run and the step that it begins from."""
    under_way: list[Attempt] = []

    def stop(received: str, again: bool) -> None:
        for attempt in under_way:
            attempt.stop(received, at_once=again)

    with Signals(stop) as signals:  # from before the child starts: a signal meanwhile is not lost
        attempt = begin(claimed, config, folder)
        if isinstance(attempt, Outcome):
            return attempt
        under_way.append(attempt)
        if signals.received:
            attempt.stop(signals.received, at_once=False)
        try:
            with display(claimed.run, claimed.from_step) as shown:
                while (outcome := attempt.poll()) is None:
                    shown.look()
                    pause(LOOK_SECONDS)
        except BaseException:
            attempt.stop("SIGTERM", at_once=True)
            raise
        return outcome


def begin_attempt(claimed: Claim) -> None:
    """Clear what an earlier attempt left and record the new one in the manifest."""
    for stale in (claimed.run.outcome, claimed.run.progress):
        stale.unlink(missing_ok=True)
    ranks.clear(claimed.run)
    claimed.before = Manifest.read(claimed.run.manifest)
    manifest.start_attempt(claimed.run, claimed.from_step, provenance.versions())


def settle(claimed: Claim, code: int, received: str | None, trouble: str | None = None) -> Outcome:
    """Judge by what the worker wrote, not by a launcher's exit code, and end the attempt in the manifest.

    `code`: the exit status of the worker's process; `received`: the signal that stopped it, if one did; `trouble`: why
    it could not even be started.
    """
    run = claimed.run
    left = WorkerOutcome.read(run.outcome)
    if left and left.status == manifest.REFUSED and not trouble:
        return _refused(claimed, left)
    status, error = (manifest.FAILED, trouble) if trouble else _judged(run, code, received)
    if status != manifest.COMPLETED and not ranks.alive(run):
        # Half a checkpoint is of no use, and its room is where the disk is full.
        shutil.rmtree(run.checkpoints / ASIDE, ignore_errors=True)
    exit_code = {manifest.COMPLETED: EXIT_COMPLETED, manifest.INTERRUPTED: EXIT_INTERRUPTED}.get(status, EXIT_FAILED)
    progress = ProgressState.read(run.progress)
    step = progress.step if progress else None
    try:
        manifest.end_attempt(run, status, to_step=step, exit_code=exit_code, signal=received, error=error)
    except OSError as wrong:
        # A manifest that is not ended is read as the workers' outcome has it, or as interrupted.
        print(f"expctl: {run.manifest} could not be written: {wrong.strerror}", file=sys.stderr)
        if status == manifest.FAILED and not trouble and not run.outcome.exists():
            error = unwritten(wrong, run)  # what kept the worker from writing its outcome
    if claimed.held:
        claimed.held.release()
    if status == manifest.COMPLETED:
        return Outcome.of_completed(run)
    return Outcome(exit_code, status, error=error)


def _refused(claimed: Claim, left: WorkerOutcome) -> Outcome:
    """Undo an attempt that the worker refused before it trained."""
    ranks.wait_for_end(claimed.run, LEAVE_SECONDS)
    try:
        undo(claimed)
    except OSError as wrong:
        print(f"expctl: {claimed.run.folder} could not be taken away: {wrong.strerror}", file=sys.stderr)
    return Outcome(EXIT_REFUSED, error=left.error, wrong=left.wrong, trace=left.traceback)


def _judged(run: Run, code: int, received: str | None) -> tuple[str, str | None]:
    """Status and error of an attempt that has ended."""
    left = WorkerOutcome.read(run.outcome)
    status, error = (left.status, left.error) if left else (None, None)
    if status is None or (status == manifest.COMPLETED and not run.summary.exists()):
        status = manifest.INTERRUPTED if received else manifest.FAILED
        error = None if received else _died(run, code)
    if status == manifest.FAILED and received:
        # A rank that is asked to stop may leave in the middle of a collective operation.
        return manifest.INTERRUPTED, None
    return status, error


def _died(run: Run, code: int) -> str:
    """Why a worker ended that wrote no outcome."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the worker was killed by {name}{hint}"
    gone = ranks.lost(run)
    return ranks.describe(gone) if gone else f"the worker ended with exit code {code} and no word"
