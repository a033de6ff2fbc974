"""Limits in which GSPO-token is something known, what must not change it, and how it trains."""

# ruff: noqa: F401, F811 (fixtures are imported)

import pytest
import torch
import trl
from gspo_setup import LOSSES, ROWS, TOKENS, gradient, loss_of, make_inputs, make_trainer, shared_trainer
from tiny_policy import tiny_model
from trl import GRPOConfig

from expctl.algorithms.gspo_token import GRPOTrainer, sequence_log_ratio
from expctl.algorithms.limits import check_ratio_level

# Limits


def test_one_token_completions_make_gspo_token_grpo(loss_of):
    logps, inputs = make_inputs(4)
    inputs["completion_mask"] = (torch.arange(TOKENS) == 0).long().repeat(ROWS, 1)
    token, grpo = (loss_of(level, logps, inputs)[0] for level in ("sequence_token", "token"))
    torch.testing.assert_close(gradient(token, logps), gradient(grpo, logps), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("old_is_given", [True, False])
def test_at_the_old_policy_all_levels_have_the_same_gradient_and_ratio_one(loss_of, old_is_given):
    logps, inputs = make_inputs(6)
    inputs["old_per_token_logps"] = logps.detach()
    if not old_is_given:
        del inputs["old_per_token_logps"]
    gradients = [gradient(loss_of(level, logps, inputs)[0], logps) for level in ("token", "sequence", "sequence_token")]
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(gradients[2], gradients[1], rtol=1e-12, atol=1e-15)


def test_equal_lengths_make_dapo_and_grpo_aggregation_the_same(loss_of):
    logps, inputs = make_inputs(8, token_level=True)
    inputs["completion_mask"] = torch.ones(ROWS, TOKENS, dtype=torch.long)
    inputs["num_items_in_batch"] = torch.tensor(ROWS * TOKENS)
    dapo, grpo = (loss_of("sequence_token", logps, inputs, loss_type=loss)[0] for loss in ("dapo", "grpo"))
    torch.testing.assert_close(gradient(dapo, logps), gradient(grpo, logps), rtol=1e-12, atol=1e-15)


def test_duplicating_every_token_leaves_the_sequence_ratio_unchanged():
    logps, inputs = make_inputs(9)
    parts = (logps, inputs["old_per_token_logps"], inputs["completion_mask"])
    torch.testing.assert_close(sequence_log_ratio(*parts), sequence_log_ratio(*(x.repeat(1, 2) for x in parts)))


def test_padding_and_tool_tokens_outside_the_mask_change_nothing(loss_of):
    logps, inputs = make_inputs(10, token_level=True)
    expected = gradient(loss_of("sequence_token", logps, inputs)[0], logps)
    noisy, wide = torch.full((ROWS, 2), -9.0, dtype=torch.float64), dict(inputs)
    wide_logps = torch.cat([noisy, logps.detach(), noisy], dim=1).requires_grad_()
    for name, filler in {"old_per_token_logps": noisy * 2, "advantages": noisy, "completion_ids": noisy.long()}.items():
        wide[name] = torch.cat([filler, inputs[name], filler], dim=1)
    ones, zeros = torch.ones(ROWS, 2, dtype=torch.long), torch.zeros(ROWS, 2, dtype=torch.long)
    wide["completion_mask"] = torch.cat([ones, inputs["completion_mask"], zeros], dim=1)  # two tool tokens, two pads
    wide["tool_mask"] = torch.cat([zeros, torch.ones_like(inputs["completion_mask"]), ones], dim=1)
    found = gradient(loss_of("sequence_token", wide_logps, wide)[0], wide_logps)
    assert found[:, :2].abs().sum() == 0 and found[:, -2:].abs().sum() == 0
    torch.testing.assert_close(found[:, 2:-2], expected, rtol=1e-12, atol=1e-15)


def test_zero_mean_credit_is_lost_at_sequence_level_and_kept_by_gspo_token(loss_of):
    logps, inputs = make_inputs(11, spread=0.0, token_level=True)
    mask = inputs["completion_mask"]
    mean = (inputs["advantages"] * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    inputs["advantages"] = (inputs["advantages"] - mean) * mask
    sequence, token = (gradient(loss_of(level, logps, inputs)[0], logps) for level in ("sequence", "sequence_token"))
    assert sequence.abs().max() < 1e-15
    assert token.abs().max() > 0.01


def test_a_sequence_above_the_clip_range_with_positive_advantage_has_exactly_zero_gradient(loss_of):
    logps, inputs = make_inputs(12)
    inputs["advantages"] = torch.ones(ROWS, dtype=torch.float64)
    inputs["old_per_token_logps"] = (logps.detach() - 0.1) * inputs["completion_mask"]
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=4e-4)
    assert gradient(loss, logps).abs().max() == 0


def test_half_precision_log_probabilities_still_resolve_the_papers_clip_range(loss_of):
    # One step of bfloat16 in one of six tokens: the sequence has moved by 6.5e-4, each single token by 0 or 4e-3.
    inputs = make_inputs(13)[1] | {"completion_mask": torch.ones(ROWS, TOKENS, dtype=torch.long)}
    logps = torch.full((ROWS, TOKENS), -0.5, dtype=torch.bfloat16).requires_grad_()
    old = logps.detach().clone()
    old[:, 0] -= 2**-8
    inputs |= {"advantages": torch.ones(ROWS), "old_per_token_logps": old}
    _, metrics = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=4e-4)
    assert metrics["clip_ratio/high_mean"] == 1.0
    _, metrics = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=8e-4)
    assert metrics["clip_ratio/high_mean"] == 0.0


def test_off_policy_mask_sees_the_true_log_probabilities(loss_of):
    logps, inputs = make_inputs(14)
    mask = inputs["completion_mask"]
    # Every token fell by 0.5 since the rollout, and every completion is a bad one: all must be dropped.
    inputs["old_per_token_logps"] = (logps.detach() + 0.5) * mask
    inputs["advantages"] = -torch.ones(ROWS, dtype=torch.float64)
    dropped, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.4, epsilon=10.0)
    assert gradient(dropped, logps).abs().max() == 0
    kept, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.6, epsilon=10.0)
    assert gradient(kept, logps).abs().max() > 0
    # A sampling engine's own log-probabilities, where there are any, have priority over the old policy's.
    inputs["sampling_per_token_logps"] = logps.detach()
    kept, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.4, epsilon=10.0)
    assert gradient(kept, logps).abs().max() > 0


def test_the_batch_that_the_next_iteration_reuses_is_not_changed(loss_of):
    logps, inputs = make_inputs(15)
    before = {name: value.clone() for name, value in inputs.items()}
    loss_of("sequence_token", logps, inputs)
    assert inputs.keys() == before.keys()
    assert all(torch.equal(inputs[name], before[name]) for name in before)


# Constructor and training


def test_vespo_is_refused_by_name_before_the_model_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="loss_type='vespo'.*weights every sequence itself"):
        make_trainer(tmp_path, model="a/model/that/does/not/exist", loss_type="vespo")


def test_an_unknown_level_is_refused_with_the_nearest_name(tmp_path):
    args = GRPOConfig(output_dir=str(tmp_path), importance_sampling_level="sequence-token", use_cpu=True)
    with pytest.raises(ValueError, match="'sequence-token' is not known. Nearest: 'sequence_token'"):
        check_ratio_level(args)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_type_that_is_not_refused_trains(tmp_path, loss_type):
    trainer = make_trainer(
        tmp_path, loss_type=loss_type, steps_per_generation=2, num_iterations=2, learning_rate=1e-2, max_steps=3
    )
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def test_trained_weights_equal_those_of_sequence_level_training(tmp_path):
    options = {"steps_per_generation": 4, "epsilon": 3e-4, "epsilon_high": 4e-4, "beta": 0.0, "max_steps": 6}
    weights = []
    for level in ("sequence_token", "sequence"):
        trainer = make_trainer(tmp_path, importance_sampling_level=level, learning_rate=1e-3, optim="sgd", **options)
        trainer.train()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    assert not torch.equal(weights[0], torch.cat([p.detach().flatten() for p in tiny_model().parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_other_levels_train_bit_for_bit_like_trl(tmp_path, level, monkeypatch):
    weights = []
    for bases in ((GRPOTrainer,), (trl.GRPOTrainer,)):
        trainer = make_trainer(tmp_path, importance_sampling_level=level, steps_per_generation=2, learning_rate=1e-2)
        if bases == (trl.GRPOTrainer,):
            trainer.__class__ = trl.GRPOTrainer
        trainer.train()
        weights.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*weights, strict=True))
