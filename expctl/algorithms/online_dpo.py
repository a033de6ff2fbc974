"""Online DPO (arXiv 2402.04792) as TRL has it, with the evaluation that TRL's trainer has none of."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from trl.experimental import online_dpo

REWARD = "objective/scores"


class OnlineDPOTrainer(online_dpo.OnlineDPOTrainer):
    """TRL's `OnlineDPOTrainer`, which can be evaluated: it measures on held-out prompts what a step does.

    Metrics are a step's with `eval_` before them, and `eval_reward`: the mean reward of two completions a prompt.
    """

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, None, None]:
        """The loss of a batch of prompts; its metrics are added to those of the evaluation."""
        with self._measuring_only(), torch.no_grad():
            loss = self.training_step(model, inputs) * self.args.gradient_accumulation_steps
            for name, values in self.stats.items():
                self._of_evaluation[name] += values
        model.eval()
        return loss, None, None

    @contextmanager
    def _measuring_only(self) -> Iterator[None]:
        """Let a step leave the weights and what is to be logged of the training as they are."""
        of_training, self.stats = self.stats, defaultdict(list)
        accelerator: Any = self.accelerator
        backward, accelerator.backward = accelerator.backward, lambda loss, **_: None
        try:
            yield
        finally:
            self.stats = of_training
            accelerator.backward = backward

    def evaluation_loop(self, *positional: Any, **keywords: Any) -> Any:
        """As `transformers.Trainer.evaluation_loop`."""
        self._of_evaluation: dict[str, list[float]] = defaultdict(list)
        output: Any = super().evaluation_loop(*positional, **keywords)
        prefix = keywords.get("metric_key_prefix", "eval")
        means = {name: sum(values) / len(values) for name, values in self._of_evaluation.items()}
        output.metrics.update({f"{prefix}_{name}": value for name, value in means.items()})
        output.metrics[f"{prefix}_reward"] = means[REWARD]
        return output
