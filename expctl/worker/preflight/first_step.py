"""The phases of a first step: the first batch, the optimizer and the schedule; of a small model the step itself."""

from functools import partial
from typing import TYPE_CHECKING, Any

from transformers import Trainer

from expctl.base.evaluation import trains
from expctl.data.steps import NoStepError
from expctl.worker.benchmarks import BenchmarkTrainer
from expctl.worker.preflight import rewards, shortened
from expctl.worker.preflight.problem import Problem, error_text, field_of
from expctl.worker.steps import check_some_step

if TYPE_CHECKING:
    from expctl.worker.preflight.phases import Preflight


def rows_of_a_step(args: Any) -> int:
    """Rows of the data that one optimizer step, or one generation batch, takes from all processes."""
    if hasattr(args, "generation_batch_size"):
        return int(args.generation_batch_size // args.num_generations)
    return int(args.train_batch_size * args.gradient_accumulation_steps)


def run_phases(check: "Preflight", trainer: Trainer, length: int | None) -> None:
    """Run the phases that need the trainer.

    Args:
        check: takes the problems.
        trainer: with the first rows of its data.
        length: rows of all the training data; None where they cannot be counted.
    """
    if trainer.eval_dataset is None and not trains(check.config):
        check.problems.append(Problem("no prompts are held out, so there is nothing to evaluate", "dataset"))
        return
    if not trains(check.config):
        _evaluation_phases(check, trainer)
        return
    with check.phase("batches", partial(_batches_problem, check, length)):
        check_some_step(trainer.args, None if length is None else range(length))
    if hasattr(trainer, "_calculate_rewards"):
        with check.phase("a group's rewards", partial(_reward_problem, check)):
            rewards.reward_a_group(trainer)
    with check.phase("optimizer and schedule", partial(_optimizer_problem, check)):
        steps = trainer.args.max_steps if trainer.args.max_steps > 0 else 100
        trainer.create_optimizer_and_scheduler(num_training_steps=steps)
    with check.phase("first batch", partial(check.argument_problem, otherwise="dataset")):
        next(iter(trainer.get_train_dataloader()), None)
    if check.problems or not shortened.is_cheap(trainer):
        return
    shortened.shorten(trainer)
    with check.phase("a step", partial(_step_problem, check)):
        trainer.train()
    evaluates = trainer.args.do_eval or trainer.args.eval_strategy != "no"
    if not check.problems and evaluates and trainer.eval_dataset is not None:
        with check.phase("an evaluation", partial(_step_problem, check)):
            shortened.check_metric(trainer, trainer.evaluate())


def _evaluation_phases(check: "Preflight", trainer: Trainer) -> None:
    """Those of an experiment that trains nothing: rewards, and of a small model an evaluation."""
    if isinstance(trainer, BenchmarkTrainer):
        with check.phase("tasks of lm-eval", partial(check.argument_problem, otherwise="dataset.tasks")):
            trainer.check()
        return
    with check.phase("a group's rewards", partial(_reward_problem, check)):
        rewards.reward_a_group(trainer)
    if check.problems or not shortened.is_cheap(trainer):
        return
    shortened.shorten(trainer)
    with check.phase("an evaluation", partial(_step_problem, check)):
        trainer.evaluate()


def _batches_problem(check: "Preflight", length: int | None, error: BaseException) -> Problem:
    if isinstance(error, NoStepError):
        # Rows a device follow from the step, where one is given.
        of_step = length and check.config.get("prompts_per_step") is not None
        do = f"prompts_per_step={length} or less, or more rows" if of_step else error.do
        return Problem(error.what, "dataset", do)
    return Problem(error_text(error), "args")


def _optimizer_problem(check: "Preflight", error: BaseException) -> Problem:
    message = error_text(error)
    field = field_of(message, check.config["args"], check.argument_names())
    if field is None:
        field = "lr_scheduler_type" if "schedule" in message.lower() or "lr" in message.lower() else "optim"
    return Problem(message, f"args.{field}")


def _step_problem(check: "Preflight", error: BaseException) -> Problem:
    if type(error).__name__ == "RewardError":
        return _reward_problem(check, error)
    problem = check.argument_problem(error, "")
    if problem.key:
        return problem
    return Problem(f"the first step fails: {problem.what}", "algorithm", "EXPCTL_DEBUG=1 shows where")


def _reward_problem(check: "Preflight", error: BaseException) -> Problem:
    message = error_text(error)
    names = [name for name in check.config["reward"]["functions"] if f"'{name}'" in message]
    key = f"reward.functions.{names[0]}._target_" if names else "reward"
    do = ""
    if "unexpected keyword argument" in message:
        do = "add **kwargs to the function: it is given every column, and more"
    elif "required positional argument" in message or "required keyword-only argument" in message:
        do = f"its arguments are columns of the data ({', '.join(check.columns)}), or keys beside its _target_"
    return Problem(message, key, do)
