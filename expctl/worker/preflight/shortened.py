"""A trainer that takes one step, on few rows and tokens, for a check of what the step is made of."""

from typing import Any

from transformers import Trainer

from expctl.worker.completions import EvaluateCompletions
from expctl.worker.preflight import model
from expctl.worker.preflight.wrong import WrongError

# Floating-point operations that a step may take: about a second of one core.
MOST_WORK = 5e10
ROWS, TOKENS = 2, 2
# Callbacks of these packages take part; what a user's own does in training (mails, files) is not done for a check.
PACKAGES = ("transformers.", "trl.", "expctl.")


def is_cheap(trainer: Trainer) -> bool:
    """Whether a step can be taken at all (a large model has no weights here), in a moment."""
    if not model.is_whole(trainer.model):
        return False
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    row = next(iter(trainer.train_dataset))
    texts = [value for value in row.values() if isinstance(value, str)]
    ids = [value for value in row.values() if isinstance(value, list)]
    tokens = sum(map(len, texts)) + sum(map(len, ids)) + TOKENS
    rows = getattr(trainer.args, "generation_batch_size", ROWS)
    return 6 * parameters * tokens * rows <= MOST_WORK


def shorten(trainer: Trainer) -> None:
    """One step, without what would be kept of it; of sampled completions a few tokens, and rewards made up."""
    args = trainer.args
    args.max_steps, args.save_strategy = 1, "no"
    if not hasattr(args, "generation_batch_size"):
        args.per_device_train_batch_size, args.gradient_accumulation_steps = ROWS, 1
        args.per_device_eval_batch_size = ROWS
    if hasattr(trainer, "generation_config"):
        trainer.generation_config.max_new_tokens = TOKENS
        trainer.generation_kwargs["max_new_tokens"] = TOKENS
    if hasattr(trainer, "reward_funcs"):
        trainer.reward_funcs = [_made_up for _ in trainer.reward_funcs]
    handler = trainer.callback_handler
    handler.callbacks = [each for each in handler.callbacks if type(each).__module__.startswith(PACKAGES)]
    for callback in handler.callbacks:
        if isinstance(callback, EvaluateCompletions):
            callback.shorten(ROWS, TOKENS)
    # They were made for the whole schedule.
    trainer.optimizer = trainer.lr_scheduler = None


def check_metric(trainer: Trainer, metrics: dict[str, Any]) -> None:
    """Raise WrongError where the metric that chooses the best checkpoint is none of an evaluation's."""
    args = trainer.args
    name = args.metric_for_best_model
    if name is None or args.eval_strategy == "no":
        return
    if name not in metrics and f"eval_{name}" not in metrics:
        timed = ("runtime", "per_second", "_time")
        known = [key for key in metrics if not key.endswith(timed)]
        raise WrongError(
            f"no evaluation gives the metric '{name}'", "args.metric_for_best_model", f"one of {', '.join(known)}"
        )


def _made_up(completions: list, **_: Any) -> list[float]:
    """Rewards with contrast in every group."""
    return [float(number % 2) for number in range(len(completions))]
