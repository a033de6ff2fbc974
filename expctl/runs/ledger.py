"""The ledger of a sweep: `outputs/sweeps/<sweep_id>.json` names its cells and what became of each."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.notice import notice
from expctl.base.plain_data import mapping, sequence
from expctl.runs.files import read_json, write_json
from expctl.runs.manifest import now


@dataclass(frozen=True)
class Entry:
    """One cell: the words that set it apart, its run, and what became of it."""

    words: list[str]
    run_id: str
    status: str
    objective: float | None = None
    error: str | None = None


class Ledger:
    """What a reader of the file sees is derived from the runs, which alone know the truth.

    So a ledger that was cut in half, or written by two machines at once, loses nothing: it is written anew from the
    grid and the manifests. Cells of an earlier, larger grid stay in it, marked as no longer asked for.
    """

    def __init__(self, path: Path, command: str, objective: str, direction: str):
        self.path = path
        before = mapping(read_json(path))
        self._cells = {cell["run_id"]: cell | {"asked_for": False} for cell in cells_of(before)}
        self._head = {
            "sweep_id": path.stem, "command": command, "objective": objective, "direction": direction,
            "started": before.get("started") or now(),
        }  # fmt: skip
        self._written: Any = None
        self._failed = False

    def write(self, entries: Iterable[Entry], *, ended: bool = False, **head: Any) -> None:
        """Write what is known of the cells, when it is something new; `head`: what else a reader is told."""
        asked = {entry.run_id: vars(entry) | {"asked_for": True} for entry in entries}
        cells = [*asked.values(), *(cell for name, cell in self._cells.items() if name not in asked)]
        if cells != self._written or ended:
            self._written = cells
            self._put(self._head | head | {"ended": now() if ended else None, "cells": cells})

    def _put(self, content: dict[str, Any]) -> None:
        """A full disk must not cost the cells that still run: what the ledger says can be found again."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, content)
        except OSError as error:
            self._written = None
            if not self._failed:
                notice(f"the ledger {self.path} cannot be written: {error.strerror}")
            self._failed = True


def cells_of(ledger: Any) -> list[dict[str, Any]]:
    """The cells in the content of a ledger, those of an earlier, larger grid too; none where a file is something else.

    Each has the `run_id` that a folder beside it may have. Anything else in it may be missing or wrong.
    """
    cells = map(mapping, sequence(mapping(ledger).get("cells")))
    return [cell for cell in cells if _is_name(cell.get("run_id"))]


def _is_name(run_id: Any) -> bool:
    """Whether it is the name of a folder, and no path that leads elsewhere."""
    return isinstance(run_id, str) and run_id not in ("", ".", "..") and not {"/", "\0"} & set(run_id)


def sweep_id(labels: Iterable[str], common: Iterable[str], varied: Iterable[str]) -> str:
    """`<algorithms>-<hash8>`: the same for the same fixed words and the same varied keys, whatever their values."""
    keys = sorted({word.lstrip("+~").partition("=")[0] for word in varied})
    hashed = hashlib.sha256("\0".join([*sorted(common), "", *keys]).encode()).hexdigest()
    name = "_".join(re.sub(r"[^A-Za-z0-9_.]+", "_", label) for label in sorted(set(labels)))
    return f"{name[:60]}-{hashed[:8]}"
