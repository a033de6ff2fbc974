"""A first step: the loader's first batch, the optimizer and the schedule; of a small model the step itself."""

from functools import partial
from typing import Any

from transformers import Trainer

from expctl.data.steps import NoStepError
from expctl.worker.preflight import rewards, shortened
from expctl.worker.preflight.wrong import Wrong, field_of, said
from expctl.worker.steps import check_some_step


def rows_of_a_step(args: Any) -> int:
    """Rows of the data that one optimizer step, or the sampling for several, takes from all processes."""
    if hasattr(args, "generation_batch_size"):
        return args.generation_batch_size // args.num_generations
    return args.train_batch_size * args.gradient_accumulation_steps


def take(check: Any, trainer: Trainer, length: int | None) -> None:
    """The phases with a trainer that is made; `length`: rows of all the training data, where they can be counted."""
    with check.phase("batches", _of_batches):
        check_some_step(trainer.args, None if length is None else range(length))
    if hasattr(trainer, "_calculate_rewards"):
        with check.phase("a group's rewards", partial(_of_reward, check)):
            rewards.reward_a_group(trainer)
    with check.phase("optimizer and schedule", partial(_of_optimizer, check)):
        steps = trainer.args.max_steps if trainer.args.max_steps > 0 else 100
        trainer.create_optimizer_and_scheduler(num_training_steps=steps)
    with check.phase("first batch", partial(check.of_args, otherwise="dataset")):
        next(iter(trainer.get_train_dataloader()), None)
    if not check.wrong and shortened.is_cheap(trainer):
        shortened.shorten(trainer)
        with check.phase("a step", partial(_of_step, check)):
            trainer.train()
        if (
            not check.wrong
            and trainer.eval_dataset is not None
            and (trainer.args.do_eval or trainer.args.eval_strategy != "no")
        ):
            with check.phase("an evaluation", partial(_of_step, check)):
                shortened.check_metric(trainer, trainer.evaluate())


def _of_batches(error: BaseException) -> Wrong:
    if isinstance(error, NoStepError):
        return Wrong(error.what, "dataset", error.do)
    return Wrong(said(error), "args")


def _of_optimizer(check: Any, error: BaseException) -> Wrong:
    message = said(error)
    field = field_of(message, check.config["args"], check.argument_names())
    if field is None:
        field = "lr_scheduler_type" if "schedule" in message.lower() or "lr" in message.lower() else "optim"
    return Wrong(message, f"args.{field}")


def _of_step(check: Any, error: BaseException) -> Wrong:
    if type(error).__name__ == "RewardError":
        return _of_reward(check, error)
    wrong = check.of_args(error, "")
    if wrong.key:
        return wrong
    return Wrong(f"the first step fails: {wrong.what}", "algorithm", "EXPCTL_DEBUG=1 shows where")


def _of_reward(check: Any, error: BaseException) -> Wrong:
    message = said(error)
    names = check.config["reward"]["functions"]
    name = next((name for name in names if f"'{name}'" in message), None)
    key = f"reward.functions.{name}._target_" if name else "reward"
    do = ""
    if "unexpected keyword argument" in message:
        do = "add **kwargs to the function: it is given every column, and more"
    elif "required positional argument" in message or "required keyword-only argument" in message:
        do = f"its arguments are columns of the data ({', '.join(check.columns)}), or keys beside its _target_"
    return Wrong(message, key, do)
