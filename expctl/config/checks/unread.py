"""Settings that were typed and that nothing would read: each is told what it needs."""

from collections.abc import Sequence

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.evaluation import READ, is_read, trains
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.base.trainer_keywords import GIVEN
from expctl.config.checks.settings import TrainerSettings
from expctl.config.checks.trainer_parts import is_rewarded
from expctl.config.thinking import SAMPLES

# Field -> the field that it needs, the values with which it is read, and what to type. None: any value but false.
NEEDS = {
    "save_steps": ("save_strategy", ("steps",), "args.save_strategy=steps"),
    "logging_steps": ("logging_strategy", ("steps",), "args.logging_strategy=steps"),
    "eval_steps": ("eval_strategy", ("steps",), "args.eval_strategy=steps"),
    "gradient_checkpointing_kwargs": ("gradient_checkpointing", None, "args.gradient_checkpointing=true"),
    "ref_model_sync_steps": ("sync_ref_model", None, "args.sync_ref_model=true"),
    "ref_model_mixup_alpha": ("sync_ref_model", None, "args.sync_ref_model=true"),
    "packing_strategy": ("packing", None, "args.packing=true"),
    "eval_packing": ("packing", None, "args.packing=true"),
}
# The same for all fields that begin with vllm_.
VLLM_SWITCH = ("use_vllm", None, "args.use_vllm=true")
# Fields that another group of the config decides: a value typed here would part the two -> what to type in their place.
DECIDED = {
    "report_to": "tracker=wandb, tensorboard, trackio or mlflow",
    "local_rank": "hardware.num_processes",
}
OF_EVALUATIONS = ("per_device_eval_batch_size", "num_generations_eval", "eval_accumulation_steps", "eval_delay")
OF_THE_BEST = ("metric_for_best_model", "greater_is_better")
# The beginnings of keys that only a training reads.
OF_TRAINING = (
    *("peft", "prompts_per_step", "hardware.rows"),
    *(f"algorithm.{name}" for name in ("recipe", "learning_rate", "toy", "ratio", "replay", "reference")),
)
# Callbacks that only do something in a training.
FOR_TRAINERS = (SAMPLES, "transformers.EarlyStoppingCallback")
# Where `args` takes what a model may lay over an algorithm.
RECIPE = "algorithm.recipe."
# What else asks for a metric: schedulers that look at it, and callbacks that stop by it.
ASK_FOR_A_METRIC = ("reduce_lr_on_plateau", "greedy")


def check_unread(experiment: Experiment) -> list[Refusal]:
    """Refuse what was typed and that nothing of this experiment reads; presets of files are left alone."""
    settings = TrainerSettings(experiment)
    checks = [_given, _decided]
    checks += [_steps_and_epochs, _recipe] if trains(experiment.config) else [_of_training]
    if trains(experiment.config) and settings.is_ours:  # a trainer of the user's own may read any field
        checks += [_needs, _evaluations, _best, _rewards, _learning_rates, _lengths]
    refusals = [refusal for check in checks for refusal in check(settings)]
    return refusals + _idle(experiment, " ".join(refusal.where for refusal in refusals))


def _idle(experiment: Experiment, refused: str) -> list[Refusal]:
    """Typed keys that others could be made of and are not. `refused`: the words that have been refused already."""
    return [
        Refusal(
            f"'{key}' would do nothing: no value of this experiment is made of it",
            where=experiment.set_by(key),
            do="leave it out; expctl explain args shows what each value is made of",
        )
        for key in experiment.idle
        if experiment.sources[key] not in refused
    ]


def _of_training(settings: TrainerSettings) -> list[Refusal]:
    """Settings of a training, typed for an experiment that only evaluates."""
    fields = [key for key in settings.experiment.sources if key.startswith("args.") and not is_read(key[5:])]
    others = [key for key in settings.experiment.sources if key.startswith(OF_TRAINING)]
    callbacks = settings.experiment.config["callbacks"]
    idle = [name for name, node in callbacks.items() if mapping(node).get("_target_") in FOR_TRAINERS]
    others += ["callbacks"] if idle and settings.is_typed("callbacks") else []
    refusals = [
        Refusal(
            f"'{key}' would do nothing: an evaluation trains nothing",
            where=settings.where(key),
            nearest=nearest(key, [f"args.{name}" for name in READ if not name.startswith("_") and "*" not in name]),
            do="leave it out",
        )
        for key in fields
    ]
    return refusals + [
        Refusal(f"'{key}' would do nothing: an evaluation trains nothing", where=settings.where(key), do="leave it out")
        for key in others
    ]


def _given(settings: TrainerSettings) -> list[Refusal]:
    return [
        Refusal(
            f"'algorithm.trainer.{name}' is given by expctl itself",
            where=settings.where(f"algorithm.trainer.{name}"),
            do=GIVEN[name],
        )
        for name in GIVEN
        if name in settings.trainer
    ]


def _decided(settings: TrainerSettings) -> list[Refusal]:
    typed = [name for name in DECIDED if settings.is_typed(f"args.{name}")]
    return [
        Refusal(
            f"'args.{name}' follows from another group of the config",
            where=settings.where(f"args.{name}"),
            do=DECIDED[name],
        )
        for name in typed
    ]


def _steps_and_epochs(settings: TrainerSettings) -> list[Refusal]:
    keys = ("args.max_steps", "args.num_train_epochs")
    steps = settings.args["max_steps"]
    if not all(map(settings.is_typed, keys)) or not isinstance(steps, int) or steps <= 0:
        return []
    what = f"args.max_steps={steps} decides how long is trained, so args.num_train_epochs would do nothing"
    return [Refusal(what, where=settings.where(*keys), do="type one of them")]


def _recipe(settings: TrainerSettings) -> list[Refusal]:
    """A typed value of the recipe beside the typed field that is made of it."""
    names = [key.removeprefix(RECIPE) for key in settings.experiment.sources if key.startswith(RECIPE)]
    return [
        Refusal(
            f"'{RECIPE}{name}' would do nothing: args.{name} was typed",
            where=settings.where(f"{RECIPE}{name}"),
            do="type one of them",
        )
        for name in names
        if settings.is_typed(f"args.{name}")
    ]


def _needs(settings: TrainerSettings) -> list[Refusal]:
    refusals = []
    for key in settings.experiment.sources:
        name = key.removeprefix("args.")
        needed = NEEDS.get(name)
        if name.startswith("vllm_"):
            needed = VLLM_SWITCH
        if not key.startswith("args.") or needed is None or settings.args[name] in (None, False):
            continue
        switch, values, do = needed
        setting = settings.args[switch]
        is_read = setting in values if values else bool(setting)
        if not is_read:
            shown = "not set" if setting is None else str(setting).lower()
            what = f"{key}={settings.args[name]} would do nothing: args.{switch} is {shown}"
            refusals.append(Refusal(what, where=settings.where(key), do=f"{do} as well, or leave it out"))
    return refusals


def _evaluations(settings: TrainerSettings) -> list[Refusal]:
    if settings.args["do_eval"] or settings.evaluates:
        return []
    return _void(settings, OF_EVALUATIONS, "args.do_eval is false", "args.do_eval=true")


def _best(settings: TrainerSettings) -> list[Refusal]:
    args = settings.args
    callbacks = [mapping(node).get("_target_") for node in settings.experiment.config["callbacks"].values()]
    # Any callback that is not ours may ask for the best metric, as EarlyStoppingCallback does.
    is_asked = any(not str(target).startswith("expctl.") for target in callbacks)
    is_asked = is_asked or args["lr_scheduler_type"] in ASK_FOR_A_METRIC or args["save_strategy"] == "best"
    if args["load_best_model_at_end"] or is_asked:
        return []
    asked = [name for name in OF_THE_BEST if args[name] is not None]
    instead = "args.load_best_model_at_end=true (with args.eval_strategy=steps)"
    return _void(settings, asked, "no best checkpoint is looked for", instead)


def _void(settings: TrainerSettings, names: Sequence[str], why: str, instead: str) -> list[Refusal]:
    """Refuse those of some fields of args that were typed."""
    return [
        Refusal(
            f"args.{name} would do nothing: {why}",
            where=settings.where(f"args.{name}"),
            do=f"{instead}, or leave it out",
        )
        for name in names
        if settings.is_typed(f"args.{name}")
    ]


def _learning_rates(settings: TrainerSettings) -> list[Refusal]:
    is_full = settings.experiment.config["peft"] is None
    unread, trained = ("adapter", "all weights are") if is_full else ("full", "an adapter is")
    key = f"algorithm.learning_rate.{unread}"
    if not settings.is_typed(key):
        return []
    return [
        Refusal(
            f"'{key}' would do nothing: {trained} trained",
            where=settings.where(key),
            do="args.learning_rate=... counts for both; or leave it out",
        )
    ]


def _lengths(settings: TrainerSettings) -> list[Refusal]:
    key = "dataset.max_completion_length"
    experiment = settings.experiment
    lengths = {"max_completion_length", "max_new_tokens"} & experiment.config["args"].keys()
    if not settings.is_typed(key) or lengths or _samples(settings):
        return []
    return [
        Refusal(
            f"'{key}' would do nothing: algorithm={experiment.choices.get('algorithm')} samples no completions",
            where=settings.where(key),
            do="callbacks=completions samples some at every evaluation; or leave it out",
        )
    ]


def _samples(settings: TrainerSettings) -> bool:
    return any(mapping(node).get("_target_") == SAMPLES for node in settings.experiment.config["callbacks"].values())


def _rewards(settings: TrainerSettings) -> list[Refusal]:
    experiment = settings.experiment
    algorithm = experiment.choices.get("algorithm")
    typed = [key for key in experiment.sources if key == "reward" or key.startswith("reward.")]
    asks_teacher = experiment.config["algorithm"]["kind"] == PROMPT_ONLY
    learns = "asks a teacher and no reward" if asks_teacher else "learns from given completions"
    if is_rewarded(experiment) or _samples(settings) or not typed:
        return []
    return [
        Refusal(
            f"'{typed[0]}' would do nothing: algorithm={algorithm} {learns}",
            where=settings.where(typed[0]),
            do="callbacks=completions rewards what the model writes at every evaluation; or leave it out",
        )
    ]
