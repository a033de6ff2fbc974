"""The ledger of a sweep: `outputs/sweeps/<sweep_id>.json` names its jobs and what became of each."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from expctl.base.notice import notice
from expctl.base.words import key_of
from expctl.runs.manifest import now
from expctl.runs.records import LedgerCell, LedgerFile


class Ledger:
    """What a reader of the file sees is derived from the runs, which alone know the truth.

    So a ledger that was cut in half, or written by two machines at once, loses nothing: it is written anew from the
    grid and the manifests. Jobs of an earlier, larger grid stay in it, marked as no longer asked for.
    """

    def __init__(self, path: Path, command: str, objective: str, direction: str):
        self.path = path
        before = LedgerFile.read(path)
        self._before = {cell.run_id: replace(cell, asked_for=False) for cell in cells_of(path)}
        self._file = LedgerFile(
            sweep_id=path.stem,
            command=command,
            objective=objective,
            direction=direction,
            started=(before and before.started) or now(),
        )
        self._written: list[LedgerCell] | None = None
        self._failed = False

    def write(self, cells: Iterable[LedgerCell], *, ended: bool = False, **head: Any) -> None:
        """Write what is known of the jobs, when it is something new; `head`: other fields of the file."""
        asked = {cell.run_id: cell for cell in cells}
        known = list((asked | {name: cell for name, cell in self._before.items() if name not in asked}).values())
        if known != self._written or ended:
            self._written = known
            self._put(replace(self._file, ended=now() if ended else None, cells=known, **head))

    def _put(self, content: LedgerFile) -> None:
        """A full disk must not cost the jobs that still run: what the ledger says can be found again."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content.write(self.path)
        except OSError as error:
            self._written = None
            if not self._failed:
                notice(f"the ledger {self.path} cannot be written: {error.strerror}")
            self._failed = True


def cells_of(path: Path) -> list[LedgerCell]:
    """The jobs in a ledger, those of an earlier, larger grid too; none where the file is something else.

    The `run_id` of each is the name of a folder beside the ledger's, and no path that leads elsewhere.
    """
    ledger = LedgerFile.read(path)
    return [cell for cell in ledger.cells if _is_name(cell.run_id)] if ledger else []


def _is_name(run_id: str) -> bool:
    return run_id not in ("", ".", "..") and not {"/", "\0"} & set(run_id)


def sweep_id(labels: Iterable[str], common: Iterable[str], varied: Iterable[str]) -> str:
    """`<algorithms>-<hash8>`: the same for the same fixed words and the same varied keys, whatever their values."""
    keys = sorted(set(map(key_of, varied)))
    hashed = hashlib.sha256("\0".join([*sorted(common), "", *keys]).encode()).hexdigest()
    name = "_".join(re.sub(r"[^A-Za-z0-9_.]+", "_", label) for label in sorted(set(labels)))
    return f"{name[:60]}-{hashed[:8]}"
