"""A `BEMACallback` of the config against the rules of BEMA (`bema_schedule`, `limits`)."""

import json
from pathlib import Path

from expctl.algorithms import limits
from expctl.algorithms.bema_schedule import BEMASchedule, check_reference_updates
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.config.checks.callables import defined_by
from expctl.config.checks.combinations import GRPO, ROOM
from expctl.config.checks.settings import TrainerSettings, lineage
from expctl.config.source.defaults import FieldValues

CALLBACK, MIXIN = ROOM + "bema_callback.BEMACallback", ROOM + "bema_for_ref_model.BEMATrainerMixin"
LORA = "peft.tuners.lora.config.LoraConfig"
SCHEDULE = tuple(BEMASchedule.__dataclass_fields__)
# Values of LoraConfig.init_lora_weights that start an adapter away from zero (and their variants: pissa_niter_16).
NOT_ZERO = ("false", "pissa", "corda", "olora", "loftq", "lora_ga")


def check_bema(experiment: Experiment) -> list[Refusal]:
    """Refuse what `BEMACallback` and its trainer would refuse."""
    settings = TrainerSettings(experiment)
    keys = [
        f"callbacks.{name}"
        for name, node in experiment.config["callbacks"].items()
        if CALLBACK in lineage(defined_by(node, experiment))
    ]
    if len(keys) > 1:
        what = "two BEMACallbacks on one trainer would overwrite each other's state and reference"
        return [Refusal(what, where=settings.where(*keys), do=f"leave {keys[-1]} out: ~{keys[-1]}")]
    if not keys:
        return []
    (key,) = keys
    values = FieldValues(experiment.config["callbacks"][key.partition(".")[2]], experiment.code_folders)
    refusals = _check_callback(settings, values, key)
    if values["update_ref_model"]:
        refusals += _check_adapter(settings, key)
    return refusals


def _check_callback(settings: TrainerSettings, values: FieldValues, key: str) -> list[Refusal]:
    needing_mixin = [name for name in ("update_ref_model", "evaluate_with_bema") if values[name]]
    if needing_mixin and MIXIN not in settings.parts:
        name, target = needing_mixin[0], settings.trainer["_target_"]
        return [
            Refusal(
                f"{name} needs a trainer that knows the callback, and {target} does not",
                where=settings.where(f"{key}.{name}"),
                do="algorithm=dpo_bema, or algorithm/reference=bema over grpo, gfpo and the like",
            )
        ]

    def rules() -> None:
        schedule = BEMASchedule(**{name: values[name] for name in SCHEDULE})
        if values["update_ref_model"]:
            check_reference_updates(schedule, values["ref_model_update_freq"], values["ref_model_update_after"])
        splits = _splits_parameters(settings)
        if splits:
            raise limits.sharded(splits)
        limits.check_bema(values, settings.args, grpo=GRPO in settings.parts)

    def key_of(setting: str) -> str:
        return f"{key}.{setting}" if setting in values else f"args.{setting}"

    return settings.refusals_of(rules, key_of)


def _check_adapter(settings: TrainerSettings, key: str) -> list[Refusal]:
    """Refuse an adapter whose copy cannot be the reference: it has to be LoRA that starts at zero."""
    peft = settings.experiment.config["peft"]
    if not peft:
        return []
    where = settings.where("peft", f"{key}.update_ref_model")
    definition = defined_by(peft, settings.experiment)
    if definition and LORA not in lineage(definition):
        what = f"BEMA: update_ref_model works with LoRA adapters, not with {definition.name}"
        return [Refusal(what, where=where, do="peft=lora, or peft=none")]
    if settings.trainer.get("ref_model") is not None:
        what = "BEMA: averaged adapter weights cannot be written into a full model passed as ref_model"
        do = "leave algorithm.trainer.ref_model out: the reference becomes an adapter"
        return [Refusal(what, where=where, do=do)]
    start = str(peft.get("init_lora_weights", True)).lower()
    if start.startswith(NOT_ZERO):
        what = f"BEMA: init_lora_weights={start} starts the adapter away from zero, so the base model is no reference"
        where = settings.where("peft.init_lora_weights")
        return [Refusal(what, where=where, do="peft.init_lora_weights=true")]
    return []


def _splits_parameters(settings: TrainerSettings) -> str:
    """What would split the parameters over the ranks; empty where nothing does."""
    experiment = settings.experiment
    if experiment.hardware["sharding"]:
        return f"hardware={experiment.choices.get('hardware')} (hardware.sharding)"
    deepspeed = settings.args["deepspeed"]
    if isinstance(deepspeed, str):
        file = experiment.folder / Path(deepspeed).expanduser()
        deepspeed = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    is_stage_3 = at(deepspeed, "zero_optimization", "stage") == 3
    return "DeepSpeed ZeRO stage 3 (args.deepspeed)" if is_stage_3 else ""
