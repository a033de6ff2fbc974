"""GFPO trains with everything that stable GRPO offers, corrects for vLLM, and resumes to the last bit."""

import pytest
import torch
from gfpo_trainer import UnevenK, real_rows, scored, weights
from tiny_policy import scripted_rollout

from expctl.algorithms.difficulty import AdaptiveDifficulty

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")

TRAININGS = {
    **{f"loss {loss_type}": {"loss_type": loss_type} for loss_type in LOSSES},
    "sequence level": {"importance_sampling_level": "sequence", "loss_type": "grpo"},
    "entropy bonus": {"entropy_coef": 0.01},
    "adaptive entropy": {"use_adaptive_entropy": True, "entropy_target": 1.0},
    "top entropy": {"top_entropy_quantile": 0.5},
    "off-policy mask": {"off_policy_mask_threshold": 0.1},
    "two-sided clip": {"delta": 2.0},
    "truncated masked": {"mask_truncated_completions": True, "max_completion_length": 4},
    "multiples": {"pad_to_multiple_of": 8},
    "checkpointing": {"gradient_checkpointing": True},
}


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("filtered", ["drop", "mask"])
def test_everything_stable_grpo_offers_trains(gfpo, name, filtered):
    """With a KL term, uneven k, micro-batches reused over iterations, and every option in turn."""
    trainer = gfpo(
        group_filter_func=UnevenK(),
        filtered=filtered,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=1,
        steps_per_generation=2,
        num_iterations=2,
        max_steps=4,
        beta=0.1,
        **TRAININGS[name],
    )
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_adapters_train_against_the_base_model_as_reference(gfpo):
    from peft import LoraConfig

    trainer = gfpo(
        group_filter_func="shortest",
        num_remains_in_group=2,
        beta=0.1,
        keywords={"peft_config": LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")},
    )
    before = weights(trainer)
    trainer.train()
    changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
    assert changed and all("lora" in name for name in changed)


def sampled_elsewhere(prompts, trainer):
    rollout = scripted_rollout(prompts, trainer)
    rollout["logprobs"] = [
        [-2.0 - 0.1 * (t + i % 3) for t in range(len(ids))] for i, ids in enumerate(rollout["completion_ids"])
    ]
    rollout["logprobs"][1][0] = None  # what vLLM could not score
    return rollout


@pytest.mark.parametrize("mode", ["sequence_mask", "sequence_truncate", "token_mask", "token_truncate"])
def test_vllm_corrections_of_kept_rows_are_those_of_the_whole_batch(gfpo, mode):
    """A rollout with log-probabilities and the flags of vLLM: the correction code is upstream's and needs no engine."""

    def build(**keywords):
        trainer = gfpo(
            group_filter_func="shortest",
            vllm_importance_sampling_mode=mode,
            num_remains_in_group=2,
            keywords={"rollout_func": sampled_elsewhere},
            **keywords,
        )
        trainer.use_vllm, trainer._last_loaded_step = True, 0
        return trainer

    trainer = build()
    batch, whole = scored(trainer), real_rows(scored(build(filtered="mask")))
    rows = real_rows(batch)
    assert len(rows) == 8
    for row in rows:
        for key in ("importance_sampling_ratio", "sampling_per_token_logps", "old_per_token_logps"):
            torch.testing.assert_close(row[key], whole[int(row["sample_index"])][key], equal_nan=True)
    ratios = torch.cat([row["importance_sampling_ratio"].flatten() for row in rows])
    logged = {
        name: trainer._metrics["train"][f"sampling/importance_sampling_ratio/{name}"] for name in ("mean", "min", "max")
    }
    assert {name: len(values) for name, values in logged.items()} == {"mean": 1, "min": 1, "max": 1}
    assert logged["mean"][0] == pytest.approx(ratios.mean().item())
    assert logged["min"][0] == pytest.approx(ratios.min().item())
    assert logged["max"][0] == pytest.approx(ratios.max().item())
    assert trainer.compute_loss(trainer.model, batch).isfinite()


def adaptive_run(gfpo, folder, **keywords):
    adaptive = AdaptiveDifficulty("token_efficiency", 4, 4, 3, 2, warmup_steps=1)
    args = {"per_device_train_batch_size": 8, "optim": "adamw_torch", "max_steps": 6} | keywords
    return gfpo(output_dir=folder, group_filter_func=adaptive, save_strategy="steps", save_steps=3, **args)


@pytest.mark.parametrize(
    "schedule", [{}, {"steps_per_generation": 2}, {"num_iterations": 2, "steps_per_generation": 4}]
)
def test_an_interrupted_adaptive_run_ends_as_the_one_that_was_not(gfpo, tmp_path, schedule):
    """To the last bit, at the boundary of two rollouts and in the middle of one."""
    uninterrupted = adaptive_run(gfpo, tmp_path / "whole", **schedule)
    uninterrupted.train()
    resumed = adaptive_run(gfpo, tmp_path / "other", **schedule)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    for name, value in weights(uninterrupted).items():
        assert torch.equal(value, weights(resumed)[name])
    assert resumed.group_filter.state_dict() == uninterrupted.group_filter.state_dict()
    assert resumed.group_filter.steps > 0


def test_a_checkpoint_without_the_filters_memory_is_resumed_with_a_warning(gfpo, tmp_path, caplog):
    adaptive_run(gfpo, tmp_path, max_steps=3).train()
    (tmp_path / "checkpoint-3" / "gfpo_state.json").unlink()
    resumed = adaptive_run(gfpo, tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert "gfpo_state.json is missing: AdaptiveDifficulty" in caplog.text
    assert resumed.group_filter.steps == 3
