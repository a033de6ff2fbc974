"""The examples of the founding text run as they stand, once `trl.experimental` is `expctl.algorithms`.

What they leave open is filled in: a tiny model on this machine, a few rows of data, the CPU, one or two steps. The text
gives the replay example the name `GRPOTrainer`, where it means the trainer that it imports.
"""

import pytest
import torch
from bema_trainers import tiny_preferences
from tiny_policy import tiny_model, tiny_prompts, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, GRPOConfig

CPU = {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
SHORT = {**CPU, "max_steps": 2, "max_completion_length": 8, "logging_steps": 1}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with model and tokenizer, in the place of an id on the hub."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def parameters(trainer):
    return {name: parameter.clone() for name, parameter in trainer.model.named_parameters()}


def assert_trained(trainer, before, steps=2):
    assert trainer.state.global_step == steps
    after = parameters(trainer)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_bema_for_the_reference_model(tiny, tmp_path):
    from expctl.algorithms.bema_for_ref_model import BEMACallback, DPOTrainer

    pref_dataset = tiny_preferences()
    ref_model = AutoModelForCausalLM.from_pretrained(tiny)

    bema_callback = BEMACallback(update_ref_model=True)

    model = AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.pad_token = tokenizer.eos_token

    trainer = DPOTrainer(
        model=model,
        ref_model=ref_model,
        train_dataset=pref_dataset,
        processing_class=tokenizer,
        callbacks=[bema_callback],
        args=DPOConfig(output_dir=str(tmp_path), max_steps=2, learning_rate=1e-3, **CPU),
    )
    before = parameters(trainer)
    trainer.train()
    assert_trained(trainer, before)
    assert bema_callback.started and (tmp_path / "bema" / "model.safetensors").is_file()


def test_gfpo(tiny, tmp_path):
    from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer

    seen = []

    class GroupFilter:
        def __call__(self, group_completions, group_rewards, **kwargs):
            group_scores = []
            for completions, rewards in zip(group_completions, group_rewards, strict=True):
                assert len(completions) == len(rewards)
                scores = [float(i) for i in range(len(completions))]
                group_scores.append(scores)
            seen.append(group_scores)
            return group_scores

    training_args = GFPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_remains_in_group=2,
        num_generations=4,
        learning_rate=1e-3,
        **SHORT,
    )
    trainer = GFPOTrainer(
        model=tiny,
        reward_funcs=lambda completions, **_: [float(place % 4) for place in range(len(completions))],
        train_dataset=tiny_prompts(),
        args=training_args,
        group_filter_func=GroupFilter(),
    )
    before = parameters(trainer)
    trainer.train()
    assert_trained(trainer, before)
    assert seen == [[[0.0, 1.0, 2.0, 3.0]]] * 2
    # Of rewards 0 to 3 by place in the group the filter kept the last two.
    assert [entry["gfpo/kept_reward"] for entry in trainer.state.log_history[:2]] == [2.5, 2.5]


def test_gspo_token(tiny, tmp_path):
    from expctl.algorithms.gspo_token import GRPOTrainer

    training_args = GRPOConfig(
        importance_sampling_level="sequence_token",
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        **SHORT,
    )
    trainer = GRPOTrainer(
        model=tiny,
        reward_funcs=lambda completion_ids, **_: [float(len(ids) + ids[0]) for ids in completion_ids],
        args=training_args,
        train_dataset=tiny_prompts(),
    )
    before = parameters(trainer)
    trainer.train()
    assert_trained(trainer, before)


def test_grpo_with_replay_buffer(tiny, tmp_path):
    from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer

    # As in the text: sometimes all rewards are equal. Every second time, where the text throws a die.
    calls = []

    def custom_reward_func(completions, **kwargs):
        calls.append(len(completions))
        if len(calls) % 2 == 0:
            return [0] * len(completions)
        return torch.rand(len(completions)).tolist()

    training_args = GRPOWithReplayBufferConfig(
        output_dir=str(tmp_path),
        learning_rate=1e-4,
        per_device_train_batch_size=4,
        num_generations=4,
        replay_buffer_size=8,
        **SHORT,
    )
    trainer = GRPOWithReplayBufferTrainer(
        model=tiny,
        reward_funcs=[custom_reward_func],
        args=training_args,
        train_dataset=tiny_prompts(),
    )
    previous_trainable_params = {n: param.clone() for n, param in trainer.model.named_parameters()}
    trainer.train()
    assert_trained(trainer, previous_trainable_params)
    assert [entry["replay/rescued"] for entry in trainer.state.log_history if "replay/rescued" in entry] == [0.0, 1.0]
