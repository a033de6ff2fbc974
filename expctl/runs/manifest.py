"""`run.json`: the only source of truth for what became of a run."""

import errno
from datetime import UTC, datetime
from typing import Any

from expctl.base.plain_data import mapping, sequence
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.lock import is_held
from expctl.runs.ranks import alive

COMPLETED, FAILED, INTERRUPTED, RUNNING, CREATED = "completed", "failed", "interrupted", "running", "created"
# Of an attempt that was found to be hopeless before it began; no manifest has it, since no run is left.
REFUSED = "refused"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def create(run: Run, **fields: Any) -> None:
    """Write the manifest of a run that has not started yet."""
    manifest = {"run_id": run.run_id, "status": CREATED} | fields
    write_json(run.manifest, manifest | {"started": None, "ended": None, "attempts": [], "error": None})


def read(run: Run) -> dict[str, Any] | None:
    """The manifest with the status as it truly is: a run whose process is gone is interrupted, not running."""
    manifest = read_json(run.manifest)
    if not isinstance(manifest, dict) or "status" not in manifest:
        return None
    if manifest["status"] in (CREATED, RUNNING) and not is_held(run.lock) and not alive(run):
        return manifest | _said(run)
    return manifest


def settled(run: Run) -> dict[str, Any] | None:
    """As `read`, for who holds the lock: an attempt whose command was killed is ended in the file too."""
    manifest = read_json(run.manifest)
    if not isinstance(manifest, dict) or "status" not in manifest:
        return None
    if manifest["status"] == RUNNING:
        said = _said(run)
        step = mapping(read_json(run.progress)).get("step")
        for attempt in map(mapping, sequence(manifest.get("attempts"))):
            if attempt.get("ended") is None:
                attempt |= {"ended": now(), "to_step": step, "exit": None, "signal": "killed"}
        manifest |= {"ended": now()} | said
        write_json(run.manifest, manifest)
    return manifest


def _said(run: Run) -> dict[str, Any]:
    """Status and error of an attempt whose command is gone, from the word that its workers left."""
    said = mapping(read_json(run.outcome))
    if said.get("status") == COMPLETED and run.summary.exists():
        return {"status": COMPLETED, "error": None}
    if said.get("status") in (FAILED, REFUSED):
        return {"status": FAILED, "error": said.get("error")}
    return {"status": INTERRUPTED, "error": None}


def start_attempt(run: Run, from_step: int, versions: dict[str, str | None]) -> None:
    """created | interrupted | failed -> running. Raises OSError, as all that follow, where the file is gone."""
    manifest = _kept(run)
    begun = {"started": now(), "ended": None, "from_step": from_step, "to_step": None, "exit": None, "signal": None}
    manifest["attempts"].append(begun)
    manifest |= {"status": RUNNING, "started": manifest["started"] or begun["started"], "ended": None}
    manifest |= {"error": None, "versions": versions}
    write_json(run.manifest, manifest)


def undo_attempt(run: Run, before: dict[str, Any]) -> None:
    """running -> what it was before the attempt, which is not counted."""
    write_json(run.manifest, before)


def end_attempt(
    run: Run, status: str, *, to_step: int | None, exit_code: int, signal: str | None = None, error: str | None = None
) -> None:
    """running -> completed | failed | interrupted; also of a run whose attempt could not even be written down."""
    manifest = _kept(run)
    if manifest["attempts"] and manifest["attempts"][-1]["ended"] is None:
        manifest["attempts"][-1] |= {"ended": now(), "to_step": to_step, "exit": exit_code, "signal": signal}
    write_json(run.manifest, manifest | {"status": status, "ended": now(), "error": error})


def note(run: Run, key: str, sentences: list[str]) -> None:
    """Record what a reader of the results should know; takes the place of what an earlier attempt noted."""
    manifest = _kept(run)
    if manifest.get(key, []) != sentences:
        write_json(run.manifest, manifest | {key: sentences})


def note_also(run: Run, key: str, sentence: str) -> None:
    """Record one more sentence beside those of a key."""
    noted = _kept(run).get(key, [])
    if sentence not in noted:
        note(run, key, [*noted, sentence])


def note_data(run: Run, data: dict[str, Any]) -> dict[str, Any] | None:
    """Record the fingerprints of the data; what an earlier attempt recorded, or None."""
    manifest = _kept(run)
    before = manifest.get("data")
    if before != data:
        write_json(run.manifest, manifest | {"data": data})
    return before


def _kept(run: Run) -> dict[str, Any]:
    """The manifest of a run that has been created.

    Raises:
        FileNotFoundError: somebody has taken it away or damaged it since.
    """
    manifest = read_json(run.manifest)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("attempts"), list):
        raise FileNotFoundError(errno.ENOENT, "it was taken away or damaged meanwhile", str(run.manifest))
    return manifest
