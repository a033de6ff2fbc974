"""BEMA as the reference model of DPO and GRPO, on a tiny policy: full, with frozen layers, with LoRA."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import trl
from bema_trainers import VARIANTS, dpo, grpo, losses, reference_of, snapshot, tiny_preferences
from datasets import Dataset
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from tiny_policy import tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM, TrainerCallback, TrainerState

from expctl.algorithms.bema_for_ref_model import BEMACallback, BEMATrainerMixin, DPOTrainer
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer

EVERY_STEP = {"update_freq": 1, "update_ref_model": True, "ref_model_update_freq": 1}
ABSENT = {"model": "no/such-model"}  # loading would fail with an OSError
HARD_COPY = EVERY_STEP | {"ema_power": 0, "bias_power": 0}
EVERY_TWO = {"update_freq": 2, "update_ref_model": True, "ref_model_update_freq": 2}


def test_the_published_snippet_runs(policy_folder, tmp_path):
    ref_model = AutoModelForCausalLM.from_pretrained(policy_folder)
    bema_callback = BEMACallback(update_ref_model=True)
    model = AutoModelForCausalLM.from_pretrained(policy_folder)
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    trainer = DPOTrainer(
        model=model,
        ref_model=ref_model,
        args=trl.DPOConfig(str(tmp_path), use_cpu=True, bf16=False),  # TRL's default arguments want a GPU
        train_dataset=tiny_preferences(8),
        processing_class=tokenizer,
        callbacks=[bema_callback],
    )
    trainer.train()
    assert trainer.state.global_step == 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reference_becomes_bema_and_the_policy_is_left_alone(policy_folder, tmp_path, variant):
    callback = BEMACallback(**EVERY_TWO)
    trainer = dpo(policy_folder, tmp_path, callback, variant, max_steps=4)
    trainer.train()
    trained = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert trained.keys() == callback.weights.bema.keys() == trained.keys() & reference_of(trainer).keys()
    for name in trained:
        assert torch.equal(reference_of(trainer)[name], callback.weights.bema[name])
    assert any(not torch.equal(parameter, reference_of(trainer)[name]) for name, parameter in trained.items())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reference_that_copies_the_policy_every_step_makes_every_dpo_reward_zero(policy_folder, tmp_path, variant):
    def margins(callback):
        trainer = dpo(policy_folder, tmp_path / str(callback), callback, variant, max_steps=3)
        trainer.train()
        return [entry["rewards/margins"] for entry in losses(trainer)]

    assert margins(BEMACallback(**HARD_COPY)) == [0.0, 0.0, 0.0]
    assert all(abs(margin) > 1e-6 for margin in margins(None)[1:])


@pytest.mark.parametrize("variant", ["full", "lora", "trained_adapter"])
def test_a_reference_that_copies_the_policy_every_step_makes_every_kl_of_grpo_zero(policy_folder, tmp_path, variant):
    def divergences(callback):
        trainer = grpo(policy_folder, tmp_path / str(callback), callback, variant, max_steps=3, disable_dropout=True)
        trainer.train()
        return [entry["kl"] for entry in losses(trainer)]

    assert divergences(BEMACallback(**HARD_COPY)) == [0.0, 0.0, 0.0]
    assert all(kl > 0 for kl in divergences(None)[1:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_until_the_reference_moves_training_is_the_stock_trainers_to_the_last_bit(policy_folder, tmp_path, variant):
    stock = dpo(policy_folder, tmp_path / "stock", None, variant, trainer=trl.DPOTrainer, disable_dropout=False)
    ours = dpo(policy_folder, tmp_path / "ours", BEMACallback(update_ref_model=True), variant, disable_dropout=False)
    for trainer in (stock, ours):
        torch.manual_seed(0)
        trainer.train()
    expected, found = snapshot(stock.model), snapshot(ours.model)
    assert all(torch.equal(found[name], parameter) for name, parameter in expected.items())


def test_frozen_layers_of_another_reference_become_the_policys_and_are_so_again_after_a_resume(policy_folder, tmp_path):
    options = {"variant": "frozen", "max_steps": 3, "save_steps": 2}
    for checkpoint in (None, str(tmp_path / "checkpoint-2")):
        trainer = dpo(policy_folder, tmp_path, BEMACallback(**EVERY_TWO), ref_model=tiny_model(seed=9), **options)
        trainer.train(resume_from_checkpoint=checkpoint)
        frozen = [name for name, parameter in trainer.model.named_parameters() if not parameter.requires_grad]
        assert frozen
        for name in frozen:
            assert torch.equal(trainer.ref_model.get_parameter(name), trainer.model.get_parameter(name))


@pytest.mark.parametrize("trainer_kind", [dpo, grpo])
@pytest.mark.parametrize("variant", VARIANTS)
def test_save_and_resume_equals_uninterrupted_to_the_last_bit(policy_folder, tmp_path, trainer_kind, variant):
    # Saved at step 3: the last update of the average was at 3, that of the reference at 2.
    options = {"update_freq": 1, "update_ref_model": True, "ref_model_update_freq": 2}
    whole_callback, callback = BEMACallback(**options), BEMACallback(**options)
    whole = trainer_kind(policy_folder, tmp_path / "whole", whole_callback, variant, max_steps=5, save_steps=3)
    whole.train()
    moved = shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "elsewhere" / "kept")
    resumed = trainer_kind(policy_folder, tmp_path / "resumed", callback, variant, max_steps=5, save_steps=3)
    resumed.train(resume_from_checkpoint=str(moved))
    for ours, theirs in [
        (snapshot(resumed.model), snapshot(whole.model)),
        (reference_of(resumed), reference_of(whole)),
        (callback.weights.state_dict(), whole_callback.weights.state_dict()),
    ]:
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_a_moved_reference_is_back_before_the_first_resumed_step(policy_folder, tmp_path):
    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.reference = reference_of(resumed)

    look = Look()
    dpo(policy_folder, tmp_path, BEMACallback(**EVERY_TWO), max_steps=3, save_steps=3).train()
    resumed = dpo(policy_folder, tmp_path, [BEMACallback(**EVERY_TWO), look], max_steps=4)
    start = reference_of(resumed)
    resumed.train(resume_from_checkpoint=True)
    saved = load_file(tmp_path / "checkpoint-3" / "bema_state.safetensors")
    assert json.loads((tmp_path / "checkpoint-3" / "bema_state.json").read_text())["reference_step"] == 2
    assert all(torch.equal(tensor, saved[f"reference.{name}"]) for name, tensor in look.reference.items())
    assert not all(torch.equal(tensor, start[name]) for name, tensor in look.reference.items())


def test_a_checkpoint_that_looks_complete_has_the_bema_state(policy_folder, tmp_path, monkeypatch):
    save_to_json, seen = TrainerState.save_to_json, []

    def save(state, path):
        seen.extend(file.name for file in Path(path).parent.glob("bema_state.*"))
        save_to_json(state, path)

    monkeypatch.setattr(TrainerState, "save_to_json", save)  # trainer_state.json is the last file of a checkpoint
    dpo(policy_folder, tmp_path, BEMACallback(1), max_steps=1, save_steps=1).train()
    assert sorted(seen) == ["bema_state.json", "bema_state.safetensors"]


def test_evaluation_sees_the_averaged_weights_and_training_does_not(policy_folder, tmp_path):
    runs = {}
    for evaluate_with_bema in (False, True):
        callback = BEMACallback(update_freq=1, evaluate_with_bema=evaluate_with_bema)
        folder = tmp_path / str(evaluate_with_bema)
        runs[evaluate_with_bema] = dpo(
            policy_folder, folder, callback, max_steps=3, eval_strategy="steps", eval_steps=1
        )
        runs[evaluate_with_bema].train()
    live, averaged = runs[False], runs[True]
    assert [entry["loss"] for entry in losses(live)] == [entry["loss"] for entry in losses(averaged)]
    expected = snapshot(live.model)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in snapshot(averaged.model).items())
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "True" / "bema")
    kept = dpo(policy_folder, tmp_path / "kept", None, model=kept, ref_model=tiny_model())
    assert averaged.evaluate()["eval_loss"] == kept.evaluate()["eval_loss"] != live.evaluate()["eval_loss"]


@pytest.mark.parametrize("variant", ["full", "frozen", "lora"])
def test_the_averaged_model_is_saved_at_the_end_and_loads_by_itself(policy_folder, tmp_path, variant):
    callback = BEMACallback(**EVERY_TWO)
    trainer = dpo(policy_folder, tmp_path, callback, variant, max_steps=3)
    trainer.train()
    auto = AutoPeftModelForCausalLM if variant == "lora" else AutoModelForCausalLM
    loaded = dict(auto.from_pretrained(tmp_path / "bema").named_parameters())
    for name, parameter in trainer.model.named_parameters():
        if ".ref." not in name:
            assert torch.equal(loaded[name], callback.weights.bema.get(name, parameter))
    assert not (tmp_path / "bema" / "ref").exists()


def test_a_tied_embedding_is_saved_averaged_under_both_its_names(policy_folder, tmp_path):
    config = tiny_model().config
    config.tie_word_embeddings = True
    model, reference = Qwen3ForCausalLM(config), Qwen3ForCausalLM(config)
    callback = BEMACallback(**EVERY_TWO)
    dpo(policy_folder, tmp_path, callback, model=model, ref_model=reference, max_steps=2).train()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "bema")
    for embedding in (loaded.lm_head.weight, loaded.model.embed_tokens.weight, reference.lm_head.weight):
        assert torch.equal(embedding, callback.weights.bema["model.embed_tokens.weight"])


def test_a_callback_that_is_added_later_is_bound_as_well(policy_folder, tmp_path):
    callback = BEMACallback(**HARD_COPY)
    trainer = dpo(policy_folder, tmp_path, None, "lora", max_steps=2)
    trainer.add_callback(callback)
    trainer.train()
    assert [entry["rewards/margins"] for entry in losses(trainer)] == [0.0, 0.0]


def test_gfpo_takes_the_mixin(policy_folder, tmp_path):
    class WithReference(BEMATrainerMixin, GFPOTrainer):
        pass

    options = {"trainer": WithReference, "config": GFPOConfig, "num_remains_in_group": 2, "disable_dropout": True}
    callback = BEMACallback(**HARD_COPY)
    trainer = grpo(policy_folder, tmp_path, callback, "lora", **options, group_filter_func="shortest")
    trainer.train()
    assert [entry["kl"] for entry in losses(trainer)] == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"args\.beta"):
        grpo(None, tmp_path, callback, **ABSENT, **options, beta=0.0)


def test_any_other_trainer_takes_the_mixin(policy_folder, tmp_path):
    class SFTTrainer(BEMATrainerMixin, trl.SFTTrainer):
        pass

    args = trl.SFTConfig(str(tmp_path), max_steps=2, use_cpu=True, bf16=False, report_to="none")
    texts, callback = Dataset.from_dict({"text": ["12a", "34b"] * 8}), BEMACallback(1, evaluate_with_bema=True)
    trainer = SFTTrainer(
        tiny_model(),
        args,
        train_dataset=texts,
        eval_dataset=texts,
        processing_class=tiny_tokenizer(),
        callbacks=[callback],
    )
    trainer.train()
    with callback.swapped_in():
        averaged = trl.SFTTrainer.evaluate(trainer)["eval_loss"]
    assert trainer.evaluate()["eval_loss"] == averaged


def test_trls_own_trainers_keep_the_average_and_resume_it(policy_folder, tmp_path):
    whole, resumed = BEMACallback(1), BEMACallback(1)
    options = {"trainer": trl.DPOTrainer, "max_steps": 4, "save_steps": 2}
    dpo(policy_folder, tmp_path, whole, "lora", **options).train()
    shutil.rmtree(tmp_path / "checkpoint-4")
    dpo(policy_folder, tmp_path, resumed, "lora", **options).train(resume_from_checkpoint=True)
    expected = whole.weights.state_dict()
    assert expected and all(torch.equal(tensor, expected[k]) for k, tensor in resumed.weights.state_dict().items())


def test_without_a_callback_the_trainers_are_trls(policy_folder, tmp_path):
    trainer = dpo(policy_folder, tmp_path, None)
    assert trainer.train().global_step == 2 and not Path(tmp_path, "bema").exists()
