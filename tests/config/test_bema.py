"""A reference model that moves: what BEMA and TRL's own way go with, and what is refused by name."""

from dataclasses import replace

import pytest

from expctl.config import engine_facts
from expctl.config.checks.bema import check_bema

BEMA, TRAINER = "callbacks.bema", "algorithm.trainer._target_"
ROOM = "expctl.algorithms."
LORA = {"_target_": "peft.LoraConfig", "r": 4}

WORKS = {
    "averages without moving the reference": (
        "dpo_bema",
        {f"{BEMA}.update_ref_model": False, TRAINER: "trl.DPOTrainer"},
    ),
    "moving reference with LoRA": ("dpo_bema", {"peft": LORA}),
    "TRL's moving reference": ("grpo", {"args.sync_ref_model": True, "args.beta": 0.1}),
}


@pytest.mark.parametrize("case", WORKS)
def test_what_goes_with_a_moving_reference_passes(refused, case):
    base, changes = WORKS[case]
    assert refused(base, changes) == []


# case: (base, changes, what is said, the key that is blamed first, the nearest right value or what to do)
REFUSED = {
    "reference computed before": (
        "dpo_bema",
        {"args.precompute_ref_log_probs": True},
        "freezes",
        "args.precompute_ref_log_probs",
        "false",
    ),
    "two that move the reference": (
        "dpo_bema",
        {"args.sync_ref_model": True},
        "both write",
        "args.sync_ref_model",
        "sync_ref_model=false",
    ),
    "moving reference without a penalty": ("moving", {"args.beta": 0.0}, "GRPO has none", "args.beta", "above 0"),
    "reference between averages": (
        "dpo_bema",
        {f"{BEMA}.update_freq": 7, f"{BEMA}.ref_model_update_freq": 10},
        "not a multiple",
        f"{BEMA}.ref_model_update_freq",
        "=7",
    ),
    "averages that extrapolate": (
        "dpo_bema",
        {f"{BEMA}.lag": 0, f"{BEMA}.multiplier": 0.01},
        "extrapolate",
        f"{BEMA}.lag",
        "lag=1",
    ),
    "time convention": ("dpo_bema", {f"{BEMA}.time": "papr"}, "no", f"{BEMA}.time", "paper"),
    "adapter without low rank": (
        "dpo_bema",
        {"peft": {"_target_": "peft.IA3Config"}},
        "not with IA3Config",
        "peft",
        "peft=lora",
    ),
    "adapter away from zero": (
        "dpo_bema",
        {"peft": LORA | {"init_lora_weights": "pissa"}},
        "from zero",
        "peft.init_lora_weights",
        "true",
    ),
    "adapter with a full reference": (
        "dpo_bema",
        {"peft": LORA, "algorithm.trainer.ref_model": "some/model"},
        "full model",
        "peft",
        "leave",
    ),
    "split model": (
        "dpo_bema",
        {"args.deepspeed": {"zero_optimization": {"stage": 3}}},
        "splits the parameters",
        "",
        "ZeRO 1",
    ),
    "split model by FSDP": ("dpo_bema", {"args.fsdp": "full_shard"}, "FSDP splits the parameters", "", "ZeRO 1 or 2"),
    "trainer that knows no averages": (
        "dpo_bema",
        {TRAINER: "trl.DPOTrainer"},
        "trl.DPOTrainer does not",
        f"{BEMA}.update_ref_model",
        "dpo_bema",
    ),
    "evaluation by trainers that know no averages": (
        "dpo",
        {BEMA: {"_target_": ROOM + "bema_for_ref_model.BEMACallback", "evaluate_with_bema": True}},
        "trl.DPOTrainer does not",
        BEMA,
        "algorithm/reference=bema",
    ),
    "two averages": (
        "dpo_bema",
        {"callbacks.two": {"_target_": ROOM + "bema_callback.BEMACallback"}},
        "two BEMACallbacks",
        BEMA,
        "leave callbacks.two out",
    ),
    "averages evaluated by vLLM": (
        "moving",
        {f"{BEMA}.evaluate_with_bema": True, "args.use_vllm": True},
        "exclude each other",
        f"{BEMA}.evaluate_with_bema",
        "set one of them to false",
    ),
    "moving reference of an adapter": (
        "grpo",
        {"args.sync_ref_model": True, "args.beta": 0.1, "peft": LORA},
        "adapter's",
        "args.sync_ref_model",
        "",
    ),
    "moving reference that is not there": (
        "grpo",
        {"args.sync_ref_model": True},
        "beta=0",
        "args.sync_ref_model",
        "args.sync_ref_model=false",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_is_refused_by_name(refused_by_name, case, monkeypatch):
    # As if vLLM were installed.
    monkeypatch.setattr(engine_facts, "vllm_version", lambda: engine_facts.UNKNOWN)
    monkeypatch.setattr(engine_facts, "head_sizes_on_cpu", list)
    refused_by_name(*REFUSED[case])


def test_a_model_that_is_split_over_devices_has_no_averages(composed):
    experiment = composed("dpo_bema")
    sharded = {"hardware": experiment.config["hardware"] | {"sharding": {"fsdp_version": 2}}}
    (refusal,) = check_bema(replace(experiment, config=experiment.config | sharded))
    assert "hardware=cpu" in refusal.what and "splits the parameters" in refusal.what
