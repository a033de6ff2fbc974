"""Every trainer of TRL trains on the embedded model, and a resumed training is the undisturbed one to the last bit."""

import pytest
import torch
from resuming import composed, resumed, whole

REMAINDER = "reward.functions={remainder:{_target_:resuming.remainder,_partial_:true}}"
EVALUATED = ["args.max_steps=3", "args.logging_steps=2", "args.do_eval=true", "dataset.train_size=16"]
GROUPS = [REMAINDER, "args.num_generations=4", "args.max_completion_length=12", "args.temperature=4.0"]
# Case -> words. Resumed from step 1, whose metrics are logged a step later, and in the middle of a rollout.
CASES = {
    "a2po": [REMAINDER, "args.max_completion_length=8", "args.temperature=4.0", "args.num_value_samples=2"],
    "cpo": [],
    "distillation": ["args.max_completion_length=8"],
    "gkd": ["args.max_new_tokens=8"],
    "gold": ["args.max_completion_length=8"],
    "iw_opd": ["args.max_completion_length=8"],
    "gmpo": [*GROUPS, "args.steps_per_generation=2"],
    "kto": [],
    "online_dpo": [REMAINDER, "args.max_new_tokens=8", "args.temperature=4.0"],
    "orpo": [],
    "reward": [],
    "rloo": GROUPS,
    "sdft": ["args.num_generations=4", "args.max_completion_length=8", "args.steps_per_generation=2"],
    "sdpo": [*GROUPS, "args.steps_per_generation=2", "args.success_reward_threshold=4.0"],
    "sdpo peft=lora": [*GROUPS, "args.success_reward_threshold=4.0"],
    "tpo": [],
}
LOSSES = {
    "simpo": [],
    "dpo_sft": [],
    "dapo": [*GROUPS, "args.max_completion_length=40", "args.steps_per_generation=2"],
    **dict.fromkeys(("ipo", "hinge", "robust", "exo", "nca", "sppo", "apo_zero", "apo_down", "discopop"), []),
    **dict.fromkeys(("dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo", "gdpo"), GROUPS),
}


@pytest.mark.parametrize("algorithm", CASES)
def test_a_resumed_training_is_the_undisturbed_one(algorithm, tmp_path):
    words = [*f"algorithm={algorithm}".split(), *CASES[algorithm], *EVALUATED]
    undisturbed = whole(tmp_path / "run", *words)
    assert not all(torch.equal(value, undisturbed.first[name]) for name, value in undisturbed.weights.items())
    assert composed("hardware=cpu", words[0])["algorithm"]["objective"] in undisturbed.after
    resumed(tmp_path / "run", 1, *words).assert_equals(undisturbed)


@pytest.mark.parametrize("algorithm", LOSSES)
def test_a_variant_takes_its_step(algorithm, tmp_path):
    words = [f"algorithm={algorithm}", *LOSSES[algorithm], "args.max_steps=1", "args.warmup_steps=0"]
    trained = whole(tmp_path / "run", *words, "dataset.train_size=16", "args.save_strategy=no")
    assert not all(torch.equal(value, trained.first[name]) for name, value in trained.weights.items())
