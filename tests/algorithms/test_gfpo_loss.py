"""What GFPO's batches do to losses and gradients: dropped or masked, fillers, micro-batches, float64 references."""

import functools

import pytest
import torch
from gfpo_trainer import TableGFPOTrainer, examples, real_rows, scored, weights
from tiny_policy import EOS, scripted_rollout

from expctl.algorithms.difficulty import AdaptiveDifficulty
from expctl.algorithms.filters import Shortest

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
ROW_MEANS = ("grpo", "dr_grpo", "sapo", "luspo")


def loss_and_gradient(trainer, batches):
    trainer.table.grad, total = None, 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        total += loss.item()
    return total, trainer.table.grad


def micro_batches(trainer):
    """What upstream cuts the generation batch into."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer._step, trainer._buffered_inputs = 0, None
    trainer._prepare_inputs(examples(trainer))
    return trainer._buffered_inputs


@pytest.fixture
def float64(gfpo):
    return functools.partial(gfpo, trainer=TableGFPOTrainer)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_masked_rows_add_nothing_but_their_share_of_the_denominator(float64, loss_type):
    """With the number of items fixed, a masked batch has the gradient of the dropped one; a mean over rows has k/G."""
    keywords = {"group_filter_func": "shortest", "num_remains_in_group": 2, "loss_type": loss_type}
    masking, dropping = float64(filtered="mask", **keywords), float64(filtered="drop", **keywords)
    masked, dropped = scored(masking), scored(dropping)
    masking.move(0.1)
    dropping.move(0.1)
    assert dropped["num_items_in_batch"] < masked["num_items_in_batch"]
    dropped["num_items_in_batch"] = masked["num_items_in_batch"]
    loss, gradient = loss_and_gradient(masking, [masked])
    expected_loss, expected = loss_and_gradient(dropping, [dropped])
    if loss_type in ROW_MEANS:
        scale = 2 / 4
    elif loss_type == "bnpo":
        scale = (dropped["completion_mask"].sum() / masked["completion_mask"].sum()).item()
    else:
        scale = 1
    assert expected.norm() > 1e-3
    torch.testing.assert_close(gradient, scale * expected, atol=1e-10, rtol=1e-7)
    assert loss == pytest.approx(scale * expected_loss, rel=1e-7)


def test_dropped_completions_leave_the_denominator(gfpo):
    batch = scored(gfpo(group_filter_func="shortest", num_remains_in_group=2))
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    masked = scored(gfpo(group_filter_func="shortest", num_remains_in_group=2, filtered="mask"))
    assert masked["num_items_in_batch"] == masked["completion_mask"].sum()


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("filtered", ["drop", "mask"])
def test_the_dapo_loss_and_its_gradient_are_equation_2(float64, filtered, beta):
    """An independent float64 evaluation of the paper's objective, clip, KL and all, and its finite differences."""
    trainer = float64(
        group_filter_func="shortest", num_remains_in_group=2, filtered=filtered, beta=beta, loss_type="dapo",
        num_iterations=2, use_bias_correction_kl=False,
    )  # fmt: skip
    batch = scored(trainer)
    trainer.move(0.3)  # far enough for the clip to bite

    def objective():
        total, denominator = 0.0, 0
        for row in real_rows(batch):
            ids = [row["prompt_ids"][-1].item(), *row["completion_ids"].tolist()]
            table = trainer.table.log_softmax(-1)
            logps = torch.stack([table[before, token] for before, token in zip(ids, ids[1:], strict=False)])
            ratio = (logps - row["old_per_token_logps"]).exp()
            advantage = row["advantages"]
            tokens = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            if beta:
                off = row["ref_per_token_logps"] - logps
                tokens = tokens - beta * (off.exp() - off - 1)
            total, denominator = total + tokens.sum(), denominator + len(logps)
        return total / denominator

    loss, gradient = loss_and_gradient(trainer, [batch])
    assert loss == pytest.approx(-objective().item(), abs=1e-12)
    row = real_rows(batch)[0]["completion_ids"][0]
    for place in ((row, 4), (row, 9), (7, 5)):
        step = torch.zeros_like(trainer.table)
        step[place] = 1e-6
        with torch.no_grad():
            trainer.table += step
            above = objective()
            trainer.table -= 2 * step
            below = objective()
            trainer.table += step
        assert gradient[place].item() == pytest.approx(-(above - below).item() / 2e-6, rel=1e-5, abs=1e-9)


class UnevenK(Shortest):
    """9 rows of 16 in all, which neither two nor four micro-batches can share evenly."""

    def remains(self, group_rewards):
        return [2, 3, 2, 2][: len(group_rewards)]


def test_every_kept_completion_is_in_one_micro_batch_and_micro_batches_are_equal(gfpo):
    """Upstream cuts by floor division: rows left over were dropped without a word."""
    for group_filter, k in (("shortest", 3), (UnevenK(), None)):
        for parts in (1, 2, 4):
            trainer = gfpo(
                group_filter_func=group_filter,
                num_remains_in_group=k,
                per_device_train_batch_size=16 // parts,
                gradient_accumulation_steps=parts,
            )
            indices = [batch["sample_index"].tolist() for batch in micro_batches(trainer)]
            assert len(indices) == parts and len(set(map(len, indices))) == 1
            real = sorted(index for part in indices for index in part if index >= 0)
            assert len(real) == len(set(real)) == (9 if k is None else 12)
            assert sum(index < 0 for part in indices for index in part) < parts


@pytest.mark.parametrize("loss_type", LOSSES)
def test_fillers_change_neither_loss_nor_gradient(float64, loss_type):
    """Nine kept rows in two micro-batches need a tenth: the sum over both must be that of nine rows in one.

    BNPO normalises by the tokens of each micro-batch, so for it the reference is cut the same way, fillers taken out.
    """
    keywords = {"group_filter_func": UnevenK(), "loss_type": loss_type, "beta": 0.2, "num_iterations": 2}
    whole = float64(**keywords)
    halves = float64(per_device_train_batch_size=8, gradient_accumulation_steps=2, **keywords)
    parts = micro_batches(halves)
    assert [len(part["advantages"]) for part in parts] == [5, 5]
    assert sum(int((part["sample_index"] < 0).sum()) for part in parts) == 1
    reference, batches = whole, [scored(whole)]
    if loss_type == "bnpo":
        reference, batches = halves, [without_fillers(part) for part in parts]
    halves.move(0.1)
    whole.move(0.1)
    loss, gradient = loss_and_gradient(halves, parts)
    expected_loss, expected = loss_and_gradient(reference, batches)
    assert expected.norm() > 1e-3
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=1e-6)


def without_fillers(batch):
    real = batch["sample_index"] >= 0
    return {key: value[real] if value.ndim else value for key, value in batch.items()}


def test_a_filler_does_not_touch_the_entropy_bonus(float64):
    """The bonus is a mean over tokens, and neither the scaled advantages nor the scaled KL may change its weight."""
    trainer = float64(
        group_filter_func=UnevenK(), loss_type="grpo", beta=0.2, entropy_coef=0.5, per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
    )  # fmt: skip
    part = next(part for part in micro_batches(trainer) if (part["sample_index"] < 0).any())
    bonus = []
    for batch in (part, without_fillers(part)):
        gradients = []
        for trainer.entropy_coef in (0.0, 0.5):
            gradients.append(loss_and_gradient(trainer, [batch])[1])
        bonus.append(gradients[1] - gradients[0])
    assert bonus[0].norm() > 1e-3
    torch.testing.assert_close(bonus[0], bonus[1], atol=1e-12, rtol=1e-9)


class UnevenLongest(UnevenK):
    """Keeps completions of every length, the first one too, which fillers are made of."""

    def __call__(self, *args, **kwargs):
        return [[-score for score in scores] for scores in super().__call__(*args, **kwargs)]


@pytest.mark.parametrize("group_filter", [UnevenK(), UnevenLongest()])
def test_a_filler_is_masked_and_as_short_as_can_be(gfpo, group_filter):
    trainer = gfpo(group_filter_func=group_filter, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    batch = scored(trainer)
    longest = max(len(row["completion_ids"]) for row in real_rows(batch))
    assert batch["completion_ids"].size(1) == longest
    filler = batch["sample_index"] < 0
    assert batch["completion_mask"][filler].sum() == 0 and batch["advantages"][filler].eq(0).all()


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


def test_a_completion_of_one_token_survives(gfpo):
    def short(prompts, trainer):
        rollout = scripted_rollout(prompts, trainer)
        rollout["completion_ids"] = [[EOS] for _ in prompts]
        return rollout

    keywords = {"keywords": {"rollout_func": short}, "beta": 0.1, "num_iterations": 2}
    batch = scored(
        gfpo(group_filter_func=UnevenK(), per_device_train_batch_size=8, gradient_accumulation_steps=2, **keywords)
    )
    assert batch["completion_ids"].shape == (10, 1)
