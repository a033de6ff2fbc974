"""Where a reference model lives, and which trainers have none that BEMA could move: refused by name."""

from types import SimpleNamespace

import pytest
import torch
import trl
from bema_trainers import dpo, dpo_tokens, grpo, lora, reference_of
from peft import IA3Config, LoraConfig, get_peft_model
from tiny_policy import tiny_model
from transformers import Qwen3ForCausalLM

from expctl.algorithms.bema_for_ref_model import BEMACallback
from expctl.algorithms.bema_reference import refuse_before_load, refuse_sharded

EVERY_STEP = {"update_freq": 1, "update_ref_model": True, "ref_model_update_freq": 1}
ABSENT = {"model": "no/such-model"}  # loading would fail with an OSError


def test_the_reference_adapter_starts_as_the_base_model_and_without_dropout(policy_folder, tmp_path):
    trainer = dpo(policy_folder, tmp_path, BEMACallback(**EVERY_STEP), "lora", disable_dropout=False)
    model, tokens = trainer.model.train(), dpo_tokens()
    with torch.no_grad():
        model.set_adapter("ref")
        adapter = model(tokens).logits
        with model.disable_adapter():
            base = model(tokens).logits
        for name, parameter in model.named_parameters():
            if ".ref." in name:
                parameter.add_(1.0)
        moved = [model(tokens).logits for _ in range(2)]
    assert torch.equal(adapter, base) and torch.equal(*moved)


def test_bf16_policies_have_fp32_averages_and_a_bf16_reference(policy_folder, tmp_path):
    callback = BEMACallback(**EVERY_STEP)
    models = {"model": tiny_model().bfloat16(), "ref_model": tiny_model().bfloat16()}
    trainer = dpo(policy_folder, tmp_path, callback, max_steps=2, **models)
    trainer.train()
    for name, reference in reference_of(trainer).items():
        assert callback.weights.bema[name].dtype == torch.float32 and reference.dtype == torch.bfloat16
        assert torch.equal(reference, callback.weights.bema[name].bfloat16())


def test_adding_the_reference_adapter_draws_no_random_number(policy_folder, tmp_path):
    states = []
    for callback in (None, BEMACallback(**EVERY_STEP)):
        dpo(policy_folder, tmp_path, callback, "lora")
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_a_trained_embedding_adapter_is_copied_into_the_reference(policy_folder, tmp_path):
    model = get_peft_model(tiny_model(), lora(target_modules=["embed_tokens"]))
    for name, parameter in model.named_parameters():
        if "lora" in name:
            parameter.data.normal_()
    tokens = dpo_tokens()
    before = model(tokens).logits
    trainer = dpo(policy_folder, tmp_path, BEMACallback(**EVERY_STEP), model=model)
    trainer.model.set_adapter("ref")
    assert torch.equal(trainer.model(tokens).logits, before)


@pytest.mark.parametrize(
    ("make", "callback", "options", "message"),
    [
        (dpo, EVERY_STEP, {"precompute_ref_log_probs": True}, "precompute_ref_log_probs"),
        (dpo, EVERY_STEP, {"sync_ref_model": True}, "sync_ref_model"),
        (dpo, EVERY_STEP, {"peft_config": lora(), "ref_model": "placeholder"}, "Leave ref_model out"),
        (dpo, EVERY_STEP, {"peft_config": IA3Config(target_modules=[])}, "LoRA adapters, not with IA3Config"),
        (dpo, {}, {"fsdp": "full_shard"}, "FSDP"),
        (grpo, EVERY_STEP, {"beta": 0.0}, "args.beta"),
        (grpo, {"evaluate_with_bema": True}, {"use_vllm": True}, "vLLM"),
    ],
)
def test_what_cannot_work_is_refused_by_name_before_a_weight_is_loaded(tmp_path, make, callback, options, message):
    with pytest.raises(ValueError, match=message):
        make(None, tmp_path, BEMACallback(**callback), **ABSENT | options)


def test_weights_in_shards_are_refused_by_the_name_of_what_shards_them(monkeypatch):
    zero_3 = SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=3))
    with pytest.raises(ValueError, match="ZeRO stage 3"):
        refuse_before_load(BEMACallback(), None, {"args": zero_3})
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # as accelerate launch says it
    with pytest.raises(ValueError, match="FSDP"):
        refuse_before_load(BEMACallback(), None, {})
    parameter = torch.nn.Parameter(torch.empty(0))
    parameter.ds_id = 7  # DeepSpeed's mark on a parameter of ZeRO 3
    with pytest.raises(ValueError, match="'model.embed'"):
        refuse_sharded({"model.embed": parameter})


def test_two_bema_callbacks_are_refused(policy_folder, tmp_path):
    with pytest.raises(ValueError, match="Keep one"):
        dpo(policy_folder, tmp_path, [BEMACallback(), BEMACallback()])


def test_a_reference_of_another_architecture_is_refused_when_the_trainer_is_made(policy_folder, tmp_path):
    other = tiny_model().config
    other.num_hidden_layers = 1
    for policy, reference in [(tiny_model(), Qwen3ForCausalLM(other)), (Qwen3ForCausalLM(other), tiny_model())]:
        with pytest.raises(ValueError, match=r"layers\.1\..*architecture"):
            dpo(policy_folder, tmp_path, BEMACallback(**EVERY_STEP), model=policy, ref_model=reference)


@pytest.mark.parametrize("start", [False, "pissa"])
def test_a_new_adapter_that_does_not_start_at_zero_is_refused(policy_folder, tmp_path, start):
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=start)
    with pytest.raises(ValueError, match=f"init_lora_weights={start!r}"):
        dpo(policy_folder, tmp_path, BEMACallback(**EVERY_STEP), peft_config=config)


def test_trained_weights_outside_the_adapter_are_refused(policy_folder, tmp_path):
    trainer = dpo(policy_folder, tmp_path, None, "lora")
    trainer.model.get_base_model().lm_head.weight.requires_grad_(True)
    trainer.add_callback(BEMACallback(**EVERY_STEP))
    with pytest.raises(ValueError, match="lm_head.weight.*no part of the adapter"):
        trainer.train()


@pytest.mark.parametrize("option", ["update_ref_model", "evaluate_with_bema"])
def test_trls_own_trainers_are_refused_where_they_would_ignore_the_option(policy_folder, tmp_path, option):
    trainer = dpo(policy_folder, tmp_path, BEMACallback(**{option: True}), trainer=trl.DPOTrainer)
    with pytest.raises(ValueError, match=f"{option}=True needs a trainer"):
        trainer.train()
