"""Settings that were typed and that nothing would read: each is told what it needs."""

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.combinations import Combination

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
VLLM_SWITCH = ("use_vllm", None, "args.use_vllm=true")
# Fields that another group of the config decides: a value typed here would part the two -> what to type in their place.
DECIDED = {
    "report_to": "tracker=wandb, tensorboard, trackio or mlflow",
    "local_rank": "hardware.num_processes",
}
# Keywords of a trainer that expctl fills itself -> what to type in their place.
FILLED = {
    "model": "model=local model.path=<folder or hub id>",
    "args": "args.<field>=...",
    "train_dataset": "dataset=files dataset.path=<file>",
    "eval_dataset": "dataset.eval_path=<file>",
    "processing_class": "model.path: the tokenizer is the model's",
    "reward_funcs": "reward=..., or reward.functions.<name>._target_=...",
    "peft_config": "peft=lora",
    "callbacks": "+callbacks.<name>._target_=...",
}


def check_typed(experiment: Experiment) -> list[Refusal]:
    """Refuse what was typed and has no effect, and what expctl itself gives to the trainer."""
    case = Combination(experiment)
    return _check_filled(case) + _check_decided(case) + _check_steps_and_epochs(case) + _check_needs(case)


def _check_filled(case: Combination) -> list[Refusal]:
    found = []
    for name, instead in FILLED.items():
        if name in case.trainer:
            key = f"algorithm.trainer.{name}"
            found.append(Refusal(f"'{key}' is given by expctl itself", where=case.where(key), do=instead))
    return found


def _check_decided(case: Combination) -> list[Refusal]:
    typed = [name for name in DECIDED if f"args.{name}" in case.experiment.sources]
    return [
        Refusal(
            f"'args.{name}' follows from another group of the config",
            where=case.where(f"args.{name}"),
            do=DECIDED[name],
        )
        for name in typed
    ]


def _check_steps_and_epochs(case: Combination) -> list[Refusal]:
    keys = ("args.max_steps", "args.num_train_epochs")
    steps = case.args["max_steps"]
    if not all(key in case.experiment.sources for key in keys) or not isinstance(steps, int) or steps <= 0:
        return []
    what = f"args.max_steps={steps} decides how long is trained, so args.num_train_epochs would do nothing"
    return [Refusal(what, where=case.where(*keys), do="type one of them")]


def _check_needs(case: Combination) -> list[Refusal]:
    if not case.is_ours:
        return []  # a trainer of the user's own may read any field
    found = []
    for key in case.experiment.sources:
        name = key.removeprefix("args.")
        needed = NEEDS.get(name)
        if name.startswith("vllm_"):
            needed = VLLM_SWITCH
        if not key.startswith("args.") or needed is None or case.args[name] in (None, False):
            continue
        switch, values, do = needed
        setting = case.args[switch]
        is_read = setting in values if values else bool(setting)
        if not is_read:
            shown = "not set" if setting is None else str(setting).lower()
            what = f"{key}={case.args[name]} would do nothing: args.{switch} is {shown}"
            found.append(Refusal(what, where=case.where(key), do=f"{do} as well, or leave it out"))
    return found
