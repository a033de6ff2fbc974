"""GSPO-token against an independent float64 reference, finite differences and GSPO."""

# ruff: noqa: F401, F811 (fixtures are imported)

import pytest
import torch
from gspo_setup import LOSSES, ROWS, TOKENS, gradient, loss_of, make_inputs, make_trainer, shared_trainer

# Equations


def equation_13(logps, old, mask, advantages, low, high, ratio_numerator=None):
    """Written from the paper, token by token. `ratio_numerator` stands for the live log pi(y_it)."""
    live = logps if ratio_numerator is None else ratio_numerator
    total = 0.0
    for i in range(len(logps)):
        tokens = [t for t in range(logps.shape[1]) if mask[i, t]]
        s_i = torch.exp(sum(logps[i, t].detach() - old[i, t] for t in tokens) / len(tokens))
        for t in tokens:
            s_it = s_i * torch.exp(live[i, t]) / torch.exp(logps[i, t]).detach()
            unclipped, clipped = s_it * advantages[i, t], s_it.clamp(1 - low, 1 + high) * advantages[i, t]
            total = total + torch.minimum(unclipped, clipped) / len(tokens)
    return total / len(logps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("low", "high"), [(3e-4, 4e-4), (0.2, 0.27), (50.0, 50.0)])
def test_loss_and_gradient_are_equations_13_and_14(loss_of, seed, low, high):
    logps, inputs = make_inputs(seed, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=low, epsilon_high=high)
    mask, old = inputs["completion_mask"], inputs["old_per_token_logps"]
    expected = -equation_13(logps, old, mask, inputs["advantages"], low, high)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient(loss, logps), gradient(expected, logps), rtol=1e-12, atol=1e-14)


def test_unclipped_gradient_is_equation_17(loss_of):
    logps, inputs = make_inputs(3, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=1e3, epsilon_high=1e3)
    mask = inputs["completion_mask"]
    lengths = mask.sum(1, keepdim=True)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1, keepdim=True) / lengths).detach()
    expected = -(s * inputs["advantages"] * mask / lengths) / ROWS
    torch.testing.assert_close(gradient(loss, logps), expected, rtol=1e-12, atol=1e-14)


def test_gradient_is_the_finite_difference_of_the_surrogate_with_stopped_terms_frozen(loss_of):
    logps, inputs = make_inputs(5, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=0.2, epsilon_high=0.27)
    grad, frozen = gradient(loss, logps), logps.detach()
    mask, old, step = inputs["completion_mask"], inputs["old_per_token_logps"], 1e-6
    for i, t in mask.nonzero().tolist():
        nudge = torch.zeros_like(frozen)
        nudge[i, t] = step
        up, down = (
            -equation_13(frozen, old, mask, inputs["advantages"], 0.2, 0.27, frozen + sign * nudge) for sign in (1, -1)
        )
        assert abs((up - down) / (2 * step) - grad[i, t]) < 1e-8


# Equal to GSPO


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize(("low", "high"), [(3e-4, 4e-4), (0.2, 0.2)])
def test_gspo_token_equals_gspo_when_advantages_are_constant(loss_of, loss_type, low, high):
    for seed in range(3):
        logps, inputs = make_inputs(seed)
        settings = {"loss_type": loss_type, "epsilon": low, "epsilon_high": high}
        token, token_metrics = loss_of("sequence_token", logps, inputs, **settings)
        sequence, sequence_metrics = loss_of("sequence", logps, inputs, **settings)
        torch.testing.assert_close(token, sequence, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)
        for extreme in ("clip_ratio/low_min", "clip_ratio/high_max"):  # per sequence in both
            assert token_metrics.get(extreme) == sequence_metrics.get(extreme)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "luspo"])
def test_the_clip_set_is_the_set_of_clipped_sequences(loss_of, loss_type):
    logps, inputs = make_inputs(7)
    mask, advantages = inputs["completion_mask"], torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    drift = torch.tensor([[0.1], [-0.1], [0.01], [0.1]], dtype=torch.float64)
    inputs |= {"advantages": advantages, "old_per_token_logps": (logps.detach() - drift) * mask}
    loss, metrics = loss_of("sequence_token", logps, inputs, loss_type=loss_type, epsilon=0.05, epsilon_high=0.05)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1) / mask.sum(1)).detach()
    clipped = ((s > 1.05) & (advantages > 0)) | ((s < 0.95) & (advantages < 0))
    assert clipped.tolist() == [True, True, False, False]
    assert torch.equal(gradient(loss, logps).abs().sum(1) == 0, clipped)
    assert metrics["clip_ratio/region_mean"] == pytest.approx((clipped * mask.sum(1)).sum().item() / mask.sum().item())


def test_two_sided_clipping_and_off_policy_mask_and_entropy_bonus_agree_with_sequence_level(loss_of):
    settings = {"delta": 1.1, "off_policy_mask_threshold": 0.05, "entropy_coef": 0.1, "_entropy_bonus_enabled": True}
    for seed in range(4):
        logps, inputs = make_inputs(seed)
        token, _ = loss_of("sequence_token", logps, inputs, **settings)
        sequence, _ = loss_of("sequence", logps, inputs, **settings)
        torch.testing.assert_close(token, sequence, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)


def test_kl_without_bias_correction_agrees_with_sequence_level(loss_of):
    logps, inputs = make_inputs(1)
    inputs["ref_per_token_logps"] = inputs["old_per_token_logps"] - 0.3 * inputs["completion_mask"]
    settings = {"beta": 0.1, "use_bias_correction_kl": False}
    token, sequence = (loss_of(level, logps, inputs, **settings)[0] for level in ("sequence_token", "sequence"))
    torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)


def test_bias_corrected_kl_is_weighted_by_the_sequence_ratio(loss_of):
    logps, inputs = make_inputs(1)
    mask = inputs["completion_mask"]
    inputs["ref_per_token_logps"] = inputs["old_per_token_logps"] - 0.3 * mask
    inputs["advantages"] = torch.zeros(ROWS, dtype=torch.float64)
    loss, _ = loss_of("sequence_token", logps, inputs, beta=0.1, use_bias_correction_kl=True)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True))
    difference = inputs["ref_per_token_logps"] - logps
    kl = (difference.exp() - difference - 1) * s
    torch.testing.assert_close(loss, 0.1 * ((kl * mask).sum(1) / mask.sum(1)).mean(), rtol=1e-12, atol=0)


def test_vllm_ratio_of_a_sequence_agrees_with_sequence_level(loss_of):
    logps, inputs = make_inputs(2)
    inputs["importance_sampling_ratio"] = torch.tensor([[0.5], [1.0], [0.0], [2.0]], dtype=torch.float64)
    settings = {"use_vllm": True, "vllm_importance_sampling_correction": True}
    token, sequence = (loss_of(level, logps, inputs, **settings)[0] for level in ("sequence_token", "sequence"))
    torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)
