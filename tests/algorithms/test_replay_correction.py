"""The correction of replayed rows for the policy having moved since."""

import math
from types import SimpleNamespace

import pytest
import torch
import trl

from expctl.algorithms.replay_correction import correct_replayed


def correction_case(kind, advantages, now, then, replayed, fresh_is_current=True, **settings):
    settings = {"replay_mask_threshold": 0.5, "replay_weight_cap": 2.0} | settings
    args = SimpleNamespace(replay_correction=kind, **settings)
    inputs = {
        "advantages": torch.tensor(advantages, dtype=torch.float64),
        "completion_mask": torch.ones(now.shape, dtype=torch.long),
        "replayed": torch.tensor(replayed),
        "old_is_current": ~torch.tensor(replayed) & fresh_is_current,
        "old_per_token_logps": then,
    }
    sums = correct_replayed(inputs, now, args, trl.GRPOTrainer.get_off_policy_mask)
    return inputs, sums


def test_the_mask_drops_only_replayed_rows_that_are_bad_and_far():
    then = torch.zeros(6, 3, dtype=torch.float64)
    far, near = -1.0, -0.1
    now = torch.tensor([far, far, near, far, near, near], dtype=torch.float64).unsqueeze(1).repeat(1, 3)
    inputs, _ = correction_case(
        "mask", [-1.0, 1.0, -1.0, -1.0, -1.0, 1.0], now, then, [True, True, True, False, False, False]
    )
    assert inputs["advantages"].tolist() == [0.0, 1.0, -1.0, -1.0, -1.0, 1.0]
    assert torch.equal(inputs["old_per_token_logps"], torch.where(inputs["replayed"].unsqueeze(1), then, now))


def test_truncation_weighs_only_replayed_rows_by_the_product_of_their_ratios():
    then, now = torch.zeros(3, 2, dtype=torch.float64), torch.tensor([[0.1, 0.2], [0.9, 0.9], [0.1, 0.2]]).double()
    inputs, _ = correction_case("truncate", [-1.0, 3.0, 5.0], now, then, [True, True, False])
    assert inputs["advantages"].tolist() == pytest.approx([-math.exp(0.3), 6.0, 5.0])
    assert torch.equal(inputs["old_per_token_logps"], now)
    assert torch.equal(inputs["sampling_per_token_logps"][:2], then[:2])


def test_advantages_of_single_tokens_are_corrected_token_by_token():
    then, now = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 2), -1.0, dtype=torch.float64)
    inputs, _ = correction_case("mask", [[-1.0, 2.0]], now, then, [True])
    assert inputs["advantages"].tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("kind", ["mask", "truncate"])
def test_fresh_rows_that_have_old_log_probabilities_of_their_own_are_left_as_they_are(kind):
    then, now = torch.zeros(2, 3, dtype=torch.float64), torch.full((2, 3), -1.0, dtype=torch.float64)
    inputs, sums = correction_case(kind, [-1.0, -1.0], now, then, [True, False], fresh_is_current=False)
    assert inputs["advantages"][0] > -0.1 and inputs["advantages"][1] == -1.0
    assert torch.equal(inputs["old_per_token_logps"][1], then[1])
    assert sums[3] == 1


@pytest.mark.parametrize("rows", [1, 4])
def test_effective_sample_size_is_one_for_equal_weights_and_falls_with_their_spread(rows):
    then = torch.zeros(rows, 3, dtype=torch.float64)
    _, equal = correction_case("mask", [1.0] * rows, then - 0.2, then, [True] * rows)
    assert equal[0] ** 2 / (equal[1] * equal[3]) == pytest.approx(1.0)
    assert equal[2] / equal[3] == pytest.approx(0.2)
    spread = then + torch.arange(rows).unsqueeze(1)
    _, uneven = correction_case("mask", [1.0] * rows, spread, then, [True] * rows)
    assert uneven[0] ** 2 / (uneven[1] * uneven[3]) <= 1.0 + 1e-12


def test_untruncated_product_weights_make_replay_an_unbiased_policy_gradient():
    # All nine completions of two tokens over three words, each weighted by how often the old policy writes it.
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(3, generator=generator, dtype=torch.float64)
    second = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    drift = 0.5 * torch.randn(12, generator=generator, dtype=torch.float64)
    advantage = torch.randn(9, generator=generator, dtype=torch.float64)

    def logps(parameters):
        one = parameters[:3].log_softmax(0).unsqueeze(1).expand(3, 3)
        two = parameters[3:].view(3, 3).log_softmax(1)
        return torch.stack([one, two], dim=2).view(9, 2)

    old = torch.cat([first, second.flatten()])
    policy = (old + drift).requires_grad_()
    now, then = logps(policy), logps(old)
    inputs, _ = correction_case("truncate", advantage.tolist(), now.detach(), then, [True] * 9, replay_weight_cap=1e9)
    ratio = (now - inputs["old_per_token_logps"]).exp().sum(1)  # what the loss differentiates, summed over tokens
    replayed = (then.sum(1).exp() * inputs["advantages"] * ratio).sum()
    on_policy = (now.sum(1).exp() * advantage).sum()
    torch.testing.assert_close(*(torch.autograd.grad(x, policy, retain_graph=True)[0] for x in (replayed, on_policy)))
