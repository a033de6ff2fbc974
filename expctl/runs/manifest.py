"""`run.json`, the only source of truth for what became of a run: its states and the changes between them."""

import errno
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from expctl.runs.files import Run
from expctl.runs.lock import is_held
from expctl.runs.ranks import alive
from expctl.runs.records import Alert, Attempt, Manifest, ProgressState, WorkerOutcome

COMPLETED, FAILED, INTERRUPTED, RUNNING, CREATED = "completed", "failed", "interrupted", "running", "created"
# Of an attempt that was found to be hopeless before it began; no manifest has it, since no run is left.
REFUSED = "refused"
# Of a run whose manifest cannot be read; no manifest has it.
BROKEN = "broken"

# The fields of a manifest that hold sentences for whoever reads the results.
Note = Literal["notes", "warnings", "data_changed"]


def now() -> str:
    """The time as every file of a run has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def create(run: Run, described: Manifest | None = None) -> None:
    """Write the manifest of a run that has not started yet; `described`: what is known of it."""
    manifest = described or Manifest(run_id=run.run_id, status=CREATED)
    manifest.write(run.manifest)


def recorded(run: Run) -> Manifest:
    """What the file says, whether or not the run is alive; of a damaged file an empty manifest of status `broken`."""
    return Manifest.read(run.manifest) or Manifest(run_id=run.run_id, status=BROKEN)


def read(run: Run) -> Manifest | None:
    """The manifest with the status as it truly is: a run whose process is gone is interrupted, not running."""
    manifest = Manifest.read(run.manifest)
    if manifest and manifest.status in (CREATED, RUNNING) and not is_held(run.lock) and not alive(run):
        manifest.status, manifest.error = _status_and_error(run)
    return manifest


def settled(run: Run) -> Manifest | None:
    """As `read`, for who holds the lock: an attempt whose command was killed is ended in the file too."""
    manifest = Manifest.read(run.manifest)
    if manifest and manifest.status == RUNNING:
        progress = ProgressState.read(run.progress)
        for attempt in manifest.attempts:
            if attempt.ended is None:
                attempt.ended, attempt.signal = now(), "killed"
                attempt.to_step = progress.step if progress else None
        manifest.ended = now()
        manifest.status, manifest.error = _status_and_error(run)
        manifest.write(run.manifest)
    return manifest


def _status_and_error(run: Run) -> tuple[str, str | None]:
    """Status and error of an attempt whose command is gone, by the outcome that its workers left."""
    outcome = WorkerOutcome.read(run.outcome)
    if outcome and outcome.status == COMPLETED and run.summary.exists():
        return COMPLETED, None
    if outcome and outcome.status in (FAILED, REFUSED):
        return FAILED, outcome.error
    return INTERRUPTED, None


def start_attempt(run: Run, from_step: int, versions: dict[str, str | None]) -> None:
    """created | interrupted | failed -> running.

    Raises:
        OSError: the file is gone. So do the functions below.
    """
    manifest = _present(run)
    attempt = Attempt(started=now(), from_step=from_step)
    manifest.attempts.append(attempt)
    manifest.status, manifest.error, manifest.versions = RUNNING, None, versions
    manifest.started, manifest.ended = manifest.started or attempt.started, None
    manifest.write(run.manifest)


def undo_attempt(run: Run, before: Manifest) -> None:
    """running -> what it was before the attempt, which is not counted."""
    before.write(run.manifest)


def end_attempt(
    run: Run, status: str, *, to_step: int | None, exit_code: int, signal: str | None = None, error: str | None = None
) -> None:
    """running -> completed | failed | interrupted; also of a run whose attempt could not even be written down."""
    manifest = _present(run)
    manifest.status, manifest.ended, manifest.error = status, now(), error
    if manifest.attempts and manifest.attempts[-1].ended is None:
        attempt = manifest.attempts[-1]
        attempt.ended, attempt.to_step, attempt.exit, attempt.signal = now(), to_step, exit_code, signal
    manifest.write(run.manifest)


def note(run: Run, key: Note, sentences: list[str]) -> None:
    """Record what a reader of the results should know, in place of what an earlier attempt noted under the key."""
    manifest = _present(run)
    if getattr(manifest, key) != sentences:
        setattr(manifest, key, sentences)
        manifest.write(run.manifest)


def note_also(run: Run, key: Note, sentence: str) -> None:
    """Record one more sentence beside those of a key."""
    noted: list[str] = getattr(_present(run), key)
    if sentence not in noted:
        note(run, key, [*noted, sentence])


def note_alerts(run: Run, alerts: list[Alert]) -> None:
    """Record all alerts of the training so far."""
    manifest = _present(run)
    if manifest.alerts != alerts:
        replace(manifest, alerts=alerts).write(run.manifest)


def note_leaks(run: Run, leaks: list[Alert]) -> None:
    """Record which held-out rows are trained on as well; found before training, and part of its alerts."""
    manifest = _present(run)
    if manifest.leaks != leaks:
        replace(manifest, leaks=leaks).write(run.manifest)


def note_data(run: Run, data: dict[str, Any]) -> dict[str, Any] | None:
    """Record the fingerprints of the data; what an earlier attempt recorded, or None."""
    manifest = _present(run)
    before = manifest.data
    if before != data:
        replace(manifest, data=data).write(run.manifest)
    return before


def _present(run: Run) -> Manifest:
    """The manifest of a run that has been created.

    Raises:
        FileNotFoundError: somebody has taken it away or damaged it since.
    """
    manifest = Manifest.read(run.manifest)
    if manifest is None:
        raise FileNotFoundError(errno.ENOENT, "it was taken away or damaged meanwhile", str(run.manifest))
    return manifest
