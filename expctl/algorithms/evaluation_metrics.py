"""Hands the metrics of an evaluation to whoever asked for it, where a trainer of TRL only logs them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Trainer
else:
    Trainer = object


# Attribute of TRL's trainers.
METRICS = "_metrics"


class EvaluationMetrics(Trainer):
    """Before a trainer that keeps `_metrics` and logs a copy: `evaluate()` returns them, for a best checkpoint."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `transformers.Trainer.log`."""
        if self.model is not None and not self.model.training:
            metrics: dict[str, list[float]] = getattr(self, METRICS)["eval"]
            logs |= {f"eval_{name}": sum(values) / len(values) for name, values in metrics.items()}
        super().log(logs, start_time)
