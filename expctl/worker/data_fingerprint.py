"""Fingerprints of the data of a run: of the rows themselves, wherever they came from or were cached."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset

from expctl.data.streamed import STREAMED
from expctl.runs import manifest
from expctl.runs.files import Run

logger = logging.getLogger(__name__)

# Of a larger dataset the first and the last this many rows are read.
END_ROWS = 2000


def record_fingerprints(run: Run, train: Any, evaluation: Any) -> None:
    """Write the fingerprints into the manifest, and a note where an earlier attempt at the run saw other data."""
    current = {"train": fingerprint(train), "eval": fingerprint(evaluation)}
    before = manifest.note_data(run, current)
    if isinstance(train, IterableDataset):
        logger.warning(STREAMED)
        manifest.note_also(run, "notes", STREAMED)
    if not before:
        return
    changed = [name for name in current if before.get(name) != current[name]]
    if changed:
        changes = ", ".join(f"{name} was {_short(before.get(name))}, is {_short(current[name])}" for name in changed)
        manifest.note(run, "data_changed", [f"the run was resumed with other data than it began with: {changes}"])


def record_prompts(run: Run, held_out: Any) -> None:
    """Write into the manifest the fingerprint of the prompts that `callbacks=completions` samples for, as `prompts`."""
    data = manifest.recorded(run).data or {}
    manifest.note_data(run, data | {"prompts": fingerprint(held_out)})


def fingerprint(dataset: Any) -> dict[str, Any] | None:
    """Rows, columns and a hash of the content; of several datasets by name; None where rows cannot be counted.

    The hash is SHA-256 over rows as JSON: neither file format nor cache changes it. `of` says which rows.
    """
    if isinstance(dataset, dict):
        return {name: fingerprint(part) for name, part in dataset.items()}
    if not isinstance(dataset, Dataset):
        return None
    count = len(dataset)
    if count <= 2 * END_ROWS:
        ranges, of = [range(count)], "all rows"
    else:
        ranges, of = [range(END_ROWS), range(count - END_ROWS, count)], f"the first and the last {END_ROWS} rows"
    content = hashlib.sha256(f"{count}".encode())
    stored = dataset.with_format("arrow")  # as stored: media are not decoded
    for rows in filter(None, ranges):
        for row in stored[rows].to_pylist():
            content.update(json.dumps(_plain(row), sort_keys=True, default=_text).encode())
    return {"rows": count, "columns": sorted(dataset.column_names), "fingerprint": content.hexdigest()[:16], "of": of}


def _short(data: dict[str, Any] | None) -> str:
    return f"{data['rows']} rows ({data['fingerprint']})" if data and "rows" in data else "another"


def _plain(value: Any) -> Any:
    """The value without a media file's location on this machine: its name counts, and only where it has no bytes."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"bytes", "path"}:
        return Path(value["path"] or "").name if value["bytes"] is None else value["bytes"]
    return {key: _plain(item) for key, item in value.items()}


def _text(value: Any) -> str:
    """A value that JSON has no type for: bytes by their hash, dates and decimals as they print."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
