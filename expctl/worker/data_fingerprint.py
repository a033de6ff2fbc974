"""What data a run was trained on: a fingerprint of the rows themselves, wherever they came from or were cached."""

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


def note_data(run: Run, train: Any, evaluation: Any) -> None:
    """Write the fingerprints into the manifest, and a note where an earlier attempt at the run saw other data."""
    seen = {"train": fingerprint(train), "eval": fingerprint(evaluation)}
    before = manifest.note_data(run, seen)
    if isinstance(train, IterableDataset):
        logger.warning(STREAMED)
        manifest.note_also(run, "notes", STREAMED)
    changed = [name for name in seen if before and before.get(name) != seen[name]]
    if changed:
        told = ", ".join(f"{name} was {_short(before.get(name))}, is {_short(seen[name])}" for name in changed)
        manifest.note(run, "data_changed", [f"the run was carried on with other data than it began with: {told}"])


def fingerprint(dataset: Any) -> dict[str, Any] | None:
    """Rows, columns and a hash of the content; of several datasets by name; None where rows cannot be counted.

    The hash is SHA-256 over rows as JSON: neither file format nor cache changes it. `of` says which rows.
    """
    if isinstance(dataset, dict):
        return {name: fingerprint(part) for name, part in dataset.items()}
    if not isinstance(dataset, Dataset):
        return None
    count = len(dataset)
    ends = [range(count)] if count <= 2 * END_ROWS else [range(END_ROWS), range(count - END_ROWS, count)]
    content = hashlib.sha256(f"{count}".encode())
    stored = dataset.with_format("arrow")  # as stored: media are not decoded
    for rows in ends:
        for row in stored[rows].to_pylist() if rows else []:
            content.update(json.dumps(_plain(row), sort_keys=True, default=_text).encode())
    of = "all rows" if len(ends) == 1 else f"the first and the last {END_ROWS} rows"
    return {"rows": count, "columns": sorted(dataset.column_names), "fingerprint": content.hexdigest()[:16], "of": of}


def _short(data: dict[str, Any] | None) -> str:
    return f"{data['rows']} rows ({data['fingerprint']})" if data and "rows" in data else "another"


def _plain(value: Any) -> Any:
    """Without what a medium's place on this machine adds: `path` counts by its name alone, and only without bytes."""
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            return value["bytes"] if value["bytes"] is not None else Path(value["path"] or "").name
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    """What JSON has no word for: bytes by their hash, dates and decimals as they print."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
