"""Metrics of several named evaluation sets: TRL's trainers name only what transformers measures after its set."""

from collections.abc import Iterable
from typing import Any

from transformers import Trainer

_log = Trainer.log


def name_metrics(trainer: Trainer) -> None:
    """Have a trainer with several evaluation sets log `eval_<set>_reward`, where TRL (1.16) logs `eval_reward` of each.

    TRL's trainers add their own metrics in `log`, the last of which is that of transformers. There the name of the set
    is put into those that lack it, for all trainers of this process.
    """
    if isinstance(trainer.eval_dataset, dict):
        Trainer.log = _log_by_set  # type: ignore[method-assign] # the one place that all of them pass


def _log_by_set(self: Trainer, logs: dict[str, float], start_time: float | None = None) -> None:
    """As `transformers.Trainer.log`; the caller's `logs` are changed, which are what `evaluate()` returns."""
    sets: Any = self.eval_dataset
    name = next((each for each in sets if f"eval_{each}_runtime" in logs), None) if isinstance(sets, dict) else None
    if name is not None:
        for key in [key for key in logs if key.startswith("eval_") and not key.startswith(f"eval_{name}_")]:
            logs[f"eval_{name}_{key.removeprefix('eval_')}"] = logs.pop(key)
    _log(self, logs, start_time)


def merged(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Evaluations of several sets, a row of the log each, as the one that `evaluate()` gives; later rows count more."""
    return {key: value for row in rows for key, value in row.items()}


def has_loss(row: dict[str, Any]) -> bool:
    """Whether a row of the log is an evaluation with a loss, of a set with or without a name."""
    return any(key.startswith("eval_") and key.endswith("_loss") for key in row)
