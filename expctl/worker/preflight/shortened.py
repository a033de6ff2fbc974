"""Shortens a training to one step on few rows and tokens, which has every part of the real one."""

from typing import Any

from transformers import Trainer

from expctl.worker.completions import EvaluateCompletions
from expctl.worker.preflight import model
from expctl.worker.preflight.problem import ProblemError

# Floating-point operations that a step may take: about a second of one core.
MOST_WORK = 5e10
ROWS, TOKENS = 2, 2
# Callbacks of these packages take part, but none of the user's own, which may send mails or write files.
PACKAGES = ("transformers.", "trl.", "expctl.")


def is_cheap(trainer: Trainer) -> bool:
    """Whether a step takes about a second at most; a large model, which has no weights here, can take none."""
    network: Any = trainer.model
    beside = [getattr(trainer, name, None) or network for name in ("teacher_model", "ref_model")]
    if not all(model.is_whole(each) for each in (network, *beside)):
        return False
    parameters: int = sum(parameter.numel() for parameter in network.parameters())
    dataset: Any = trainer.train_dataset
    row = next(iter(dataset))
    tokens = TOKENS + sum(len(value) for value in row.values() if isinstance(value, str | list))
    rows = getattr(trainer.args, "generation_batch_size", ROWS)
    return 6 * parameters * tokens * rows <= MOST_WORK


def shorten(trainer: Trainer) -> None:
    """Leave one step, which saves nothing, with completions of a few tokens and dummy rewards."""
    args = trainer.args
    args.max_steps, args.save_strategy = 1, "no"
    if not hasattr(args, "generation_batch_size"):
        args.per_device_train_batch_size, args.gradient_accumulation_steps = ROWS, 1
        args.per_device_eval_batch_size = ROWS
    online: Any = trainer  # one of TRL's that samples, where it has these attributes
    for name in ("generation_config", "value_generation_config"):
        if getattr(online, name, None) is not None:
            getattr(online, name).max_new_tokens = TOKENS
    if isinstance(getattr(online, "generation_kwargs", None), dict):
        online.generation_kwargs["max_new_tokens"] = TOKENS
    if hasattr(online, "reward_funcs"):
        online.reward_funcs = [_dummy_rewards for _ in online.reward_funcs]
    handler = trainer.callback_handler
    handler.callbacks = [callback for callback in handler.callbacks if type(callback).__module__.startswith(PACKAGES)]
    for callback in handler.callbacks:
        if isinstance(callback, EvaluateCompletions):
            callback.shorten(ROWS, TOKENS)
    # Both were made for the whole schedule.
    trainer.optimizer = trainer.lr_scheduler = None


def check_metric(trainer: Trainer, metrics: dict[str, Any]) -> None:
    """Raise ProblemError where no evaluation gives the metric that chooses the best checkpoint."""
    args = trainer.args
    name = args.metric_for_best_model
    if name is None or args.eval_strategy == "no":
        return
    if name not in metrics and f"eval_{name}" not in metrics:
        timed = ("runtime", "per_second", "_time")
        known = [key for key in metrics if not key.endswith(timed)]
        raise ProblemError(
            f"no evaluation gives the metric '{name}'", "args.metric_for_best_model", f"one of {', '.join(known)}"
        )


def _dummy_rewards(completions: list[Any], **_: Any) -> list[float]:
    """Rewards with contrast in every group."""
    return [float(number % 2) for number in range(len(completions))]
