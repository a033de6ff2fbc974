"""A `BEMACallback` of the config against the rules of BEMA (`bema_schedule`, `limits`)."""

import json
from pathlib import Path
from typing import Any

from expctl.algorithms import limits
from expctl.algorithms.bema_schedule import BEMASchedule, check_reference_updates
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.callables import defined_by
from expctl.config.checks.combinations import GRPO, ROOM, Combination, lineage
from expctl.config.source.defaults import FieldValues

CALLBACK, MIXIN = ROOM + "bema_callback.BEMACallback", ROOM + "bema_for_ref_model.BEMATrainerMixin"
LORA = "peft.tuners.lora.config.LoraConfig"
SCHEDULE = tuple(BEMASchedule.__dataclass_fields__)
# Values of LoraConfig.init_lora_weights that start an adapter away from zero (and their variants: pissa_niter_16).
NOT_ZERO = ("false", "pissa", "corda", "olora", "loftq", "lora_ga")


def check_bema(experiment: Experiment) -> list[Refusal]:
    """Refuse what `BEMACallback` and its trainer would refuse."""
    case = Combination(experiment)
    keys = [
        f"callbacks.{name}"
        for name, node in experiment.config["callbacks"].items()
        if CALLBACK in lineage(defined_by(node, experiment))
    ]
    if len(keys) > 1:
        what = "two BEMACallbacks on one trainer would overwrite each other's state and reference"
        return [Refusal(what, where=case.where(*keys), do=f"leave {keys[-1]} out: ~{keys[-1]}")]
    if not keys:
        return []
    (key,) = keys
    values = FieldValues(experiment.config["callbacks"][key.partition(".")[2]], experiment.code_folders)
    return _check_callback(case, values, key) + (_check_adapter(case, key) if values["update_ref_model"] else [])


def _check_callback(case: Combination, values: FieldValues, key: str) -> list[Refusal]:
    asked = [name for name in ("update_ref_model", "evaluate_with_bema") if values[name]]
    if asked and MIXIN not in case.parts:
        return [
            Refusal(
                f"{asked[0]} needs a trainer that knows the callback, and {case.trainer['_target_']} does not",
                where=case.where(f"{key}.{asked[0]}"),
                do="algorithm=dpo_bema, or algorithm/reference=bema over grpo, gfpo and the like",
            )
        ]

    def rules() -> None:
        schedule = BEMASchedule(**{name: values[name] for name in SCHEDULE})
        if values["update_ref_model"]:
            check_reference_updates(schedule, values["ref_model_update_freq"], values["ref_model_update_after"])
        if splits := _splits_parameters(case):
            raise limits.sharded(splits)
        limits.check_bema(values, case.args, grpo=GRPO in case.parts)

    def place(setting: str) -> str:
        return f"{key}.{setting}" if setting in values else f"args.{setting}"

    return case.held_to(rules, place)


def _check_adapter(case: Combination, key: str) -> list[Refusal]:
    """An adapter whose copy can be the reference: LoRA that starts at zero."""
    peft = case.experiment.config["peft"]
    if not peft:
        return []
    where = case.where("peft", f"{key}.update_ref_model")
    definition = defined_by(peft, case.experiment)
    if definition and LORA not in lineage(definition):
        what = f"BEMA: update_ref_model works with LoRA adapters, not with {definition.name}"
        return [Refusal(what, where=where, do="peft=lora, or peft=none")]
    if case.trainer.get("ref_model") is not None:
        what = "BEMA: averaged adapter weights cannot be written into a full model passed as ref_model"
        do = "leave algorithm.trainer.ref_model out: the reference becomes an adapter"
        return [Refusal(what, where=where, do=do)]
    start = str(peft.get("init_lora_weights", True)).lower()
    if start.startswith(NOT_ZERO):
        what = f"BEMA: init_lora_weights={start} starts the adapter away from zero, so the base model is no reference"
        return [Refusal(what, where=case.where("peft.init_lora_weights"), do="peft.init_lora_weights=true")]
    return []


def _splits_parameters(case: Combination) -> str:
    """What would split the parameters over the ranks; empty where nothing does."""
    if case.experiment.config["hardware"]["sharding"]:
        return f"hardware={case.experiment.choices.get('hardware')} (hardware.sharding)"
    deepspeed: Any = case.args["deepspeed"]
    if isinstance(deepspeed, str):
        file = case.experiment.folder / Path(deepspeed).expanduser()
        deepspeed = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    stage = (deepspeed or {}).get("zero_optimization", {}).get("stage") if isinstance(deepspeed, dict | None) else None
    return "DeepSpeed ZeRO stage 3 (args.deepspeed)" if stage == 3 else ""
