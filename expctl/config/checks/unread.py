"""Settings that were typed for something that this experiment does not do: evaluate, reward, look for the best."""

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.checks.combinations import Combination

OF_EVALUATIONS = ("per_device_eval_batch_size", "num_generations_eval", "eval_accumulation_steps", "eval_delay")
OF_THE_BEST = ("metric_for_best_model", "greater_is_better")
# What else asks for a metric: schedulers that look at it, and callbacks that stop by it.
ASK_FOR_A_METRIC = ("reduce_lr_on_plateau", "greedy")
SAMPLES = "expctl.worker.completions.EvaluateCompletions"


def check_unread(experiment: Experiment) -> list[Refusal]:
    """Refuse what was typed and that nothing of this experiment reads; presets of files are left alone."""
    case = Combination(experiment)
    if not case.is_ours:
        return []  # a trainer of the user's own may read any field
    return _evaluations(case) + _best(case) + _rewards(case) + _learning_rates(case) + _lengths(case)


def _evaluations(case: Combination) -> list[Refusal]:
    if case.args["do_eval"] or case.args["eval_strategy"] not in (None, "no", False):
        return []
    return [
        Refusal(
            f"args.{name} would do nothing: args.do_eval is false",
            where=case.where(f"args.{name}"),
            do="args.do_eval=true, or leave it out",
        )
        for name in OF_EVALUATIONS
        if f"args.{name}" in case.experiment.sources
    ]


def _best(case: Combination) -> list[Refusal]:
    args = case.args
    callbacks = [mapping(node).get("_target_") for node in case.experiment.config["callbacks"].values()]
    # Any callback that is not ours may ask for the best metric, as EarlyStoppingCallback does.
    is_asked = any(not str(target).startswith("expctl.") for target in callbacks)
    is_asked = is_asked or args["lr_scheduler_type"] in ASK_FOR_A_METRIC or args["save_strategy"] == "best"
    if args["load_best_model_at_end"] or is_asked:
        return []
    return [
        Refusal(
            f"args.{name} would do nothing: no best checkpoint is looked for",
            where=case.where(f"args.{name}"),
            do="args.load_best_model_at_end=true (with args.eval_strategy=steps), or leave it out",
        )
        for name in OF_THE_BEST
        if f"args.{name}" in case.experiment.sources and args[name] is not None
    ]


def _learning_rates(case: Combination) -> list[Refusal]:
    is_full = case.experiment.config["peft"] is None
    unread, trained = ("adapter", "all weights are") if is_full else ("full", "an adapter is")
    key = f"algorithm.learning_rate.{unread}"
    if key not in case.experiment.sources:
        return []
    return [
        Refusal(
            f"'{key}' would do nothing: {trained} trained",
            where=case.where(key),
            do="args.learning_rate=... counts for both; or leave it out",
        )
    ]


def _lengths(case: Combination) -> list[Refusal]:
    key = "dataset.max_completion_length"
    if (
        key not in case.experiment.sources
        or case.experiment.config["algorithm"]["kind"] == PROMPT_ONLY
        or _samples(case)
    ):
        return []
    return [
        Refusal(
            f"'{key}' would do nothing: algorithm={case.experiment.choices.get('algorithm')} samples no completions",
            where=case.where(key),
            do="callbacks=completions samples some at every evaluation; or leave it out",
        )
    ]


def _samples(case: Combination) -> bool:
    return any(mapping(node).get("_target_") == SAMPLES for node in case.experiment.config["callbacks"].values())


def _rewards(case: Combination) -> list[Refusal]:
    config, sources = case.experiment.config, case.experiment.sources
    typed = [key for key in sources if key == "reward" or key.startswith("reward.")]
    if config["algorithm"]["kind"] == PROMPT_ONLY or _samples(case) or not typed:
        return []
    return [
        Refusal(
            f"'{typed[0]}' would do nothing: algorithm={case.experiment.choices.get('algorithm')} learns from given "
            "completions",
            where=case.where(typed[0]),
            do="callbacks=completions rewards what the model writes at every evaluation; or leave it out",
        )
    ]
