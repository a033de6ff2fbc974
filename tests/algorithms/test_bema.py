"""BEMA's arithmetic, through the callback, against an independent float64 BEMA."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import trl
from bema_cases import Weights, expected_bema, follow, train_state, walk
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_policy import tiny_model
from torch import nn

from expctl.algorithms.bema import BEMASchedule, BEMAWeights
from expctl.algorithms.bema_callback import BEMACallback

EVERY_STEP = {"update_freq": 1}


def last(thetas, **options):
    return follow(BEMACallback(**EVERY_STEP | options), thetas)[-1]


@settings(max_examples=40, deadline=None)
@given(
    update_freq=st.integers(1, 5),
    tau=st.integers(0, 7),
    kappa=st.floats(0.05, 1.0),
    eta=st.floats(0.05, 1.0),
    rho=st.integers(1, 20),
    gamma=st.floats(0.1, 3.0),
    floor=st.sampled_from([0.0, 0.3]),
    time=st.sampled_from(["trl", "paper"]),
    seed=st.integers(0, 1000),
)
def test_follows_the_recurrence_at_every_step_for_any_setting(
    update_freq, tau, kappa, eta, rho, gamma, floor, time, seed
):
    torch.manual_seed(seed)
    thetas = walk(12)
    callback = BEMACallback(update_freq, kappa, eta, rho, tau, gamma, floor, time=time)
    expected = expected_bema(thetas, update_freq, kappa, eta, rho, tau, gamma, floor, time)
    for step, (ours, theirs) in enumerate(zip(follow(callback, thetas), expected, strict=True)):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, msg=lambda m, s=step: f"step {s}: {m}")


def test_follows_a_recurrence_worked_out_by_hand():
    thetas = torch.tensor([[0.0], [1.0], [2.0], [4.0], [7.0], [11.0]], dtype=torch.float64)
    # tau = 1, phi = 2: theta_0 = 1, updates at steps 3 and 5; rho = 1, kappa = 1, eta = 0.5
    average_3 = (1 - 1 / 4) * 1 + 1 / 4 * 4
    average_5 = (1 - 1 / 6) * average_3 + 1 / 6 * 11
    by_hand = [0, 1, 1, average_3 + 4**-0.5 * (4 - 1), average_3 + 4**-0.5 * 3, average_5 + 6**-0.5 * (11 - 1)]
    found = follow(BEMACallback(2, 1.0, 0.5, lag=1, update_after=1), thetas)
    torch.testing.assert_close(torch.cat(found), torch.tensor(by_hand, dtype=torch.float64))


def test_time_is_the_global_step_in_trl_and_elapsed_since_tau_in_the_paper():
    trl_time, paper = (BEMASchedule(update_after=100, multiplier=2.0, time=time) for time in ("trl", "paper"))
    assert trl_time.beta(400) == pytest.approx((10 + 2 * 400) ** -0.5)
    assert trl_time.alpha(400) == pytest.approx((10 + 2 * 400) ** -0.2)
    assert paper.beta(400) == pytest.approx((1 + 2 * 310) ** -0.5)
    assert paper.alpha(400) == pytest.approx((1 + 310) ** -0.2)  # gamma is not in the authors' alpha


def test_default_alpha_and_beta_are_tied_as_in_the_papers_figure():
    schedule = BEMASchedule()
    assert schedule.alpha(400) == pytest.approx(schedule.beta(400) ** 0.4)


@pytest.mark.parametrize("off", [None, -1.0])
def test_bias_correction_switched_off_is_the_plain_average(off):
    thetas = walk(9)
    torch.testing.assert_close(last(thetas, bias_power=off), expected_bema(thetas, 1, eta=None)[-1])


@pytest.mark.parametrize("off", [None, 0.0, -1.0])
def test_average_switched_off_leaves_the_weights_as_their_own_average(off):
    callback, thetas = BEMACallback(1, ema_power=off), walk(9)
    follow(callback, thetas)
    assert torch.equal(callback.weights.ema["theta"], thetas[-1])


@pytest.mark.parametrize("powers", [(0, 0), (None, None), (0, None), (-1, -1)])
@pytest.mark.parametrize("time", ["trl", "paper"])
def test_both_powers_off_is_the_identity_to_the_last_bit(powers, time):
    thetas = walk(9, torch.float32)
    found = follow(BEMACallback(1, *powers, time=time), thetas)
    assert all(torch.equal(ours, theta) for ours, theta in zip(found, thetas, strict=True))


def test_zero_bias_power_adds_the_whole_way_from_the_start():
    thetas = walk(9)
    average = last(thetas, bias_power=None)
    torch.testing.assert_close(last(thetas, bias_power=0), average + thetas[-1] - thetas[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_do_not_move_are_a_fixed_point_to_the_last_bit(dtype):
    thetas = torch.randn(1, 50).expand(20, 50).to(dtype)
    assert torch.equal(last(thetas), thetas[0].float())


def test_is_linear_in_the_trajectory():
    one, two = walk(9), walk(9)
    torch.testing.assert_close(last(2 * one - 3 * two), 2 * last(one) - 3 * last(two))


def test_shifting_the_trajectory_shifts_the_result():
    thetas, shift = walk(9), torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(last(thetas + shift), last(thetas) + shift)


def test_average_of_weights_in_steady_motion_lags_by_velocity_times_one_minus_beta_over_beta():
    velocity, beta = torch.tensor([0.5, -2.0], dtype=torch.float64), 0.2
    thetas = torch.arange(200, dtype=torch.float64)[:, None] * velocity
    average = last(thetas, ema_power=8, bias_power=None, min_ema_multiplier=beta)
    torch.testing.assert_close(thetas[-1] - average, velocity * (1 - beta) / beta)


def test_is_the_maximum_likelihood_estimate_of_an_ornstein_uhlenbeck_mean_at_its_exact_coefficients():
    # theta' = theta + a (mu - theta) + s noise. The estimate is mean(theta) + (1/a - 1) (theta_T - theta_0) / T: with
    # a = 1/2 that is kappa = eta = 1 without lag. Its error is exactly (s/a) mean(noise), of variance s^2 / (a^2 T).
    chains, a, s, mu = 4000, 0.5, 1.0, 3.0
    noise = torch.randn(200, chains, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    thetas = [torch.full((chains,), mu + 10.0, dtype=torch.float64)]
    for step_noise in noise:
        thetas.append(thetas[-1] + a * (mu - thetas[-1]) + s * step_noise)
    exact = {"ema_power": 1.0, "lag": 0}
    for steps in (50, 200):
        trajectory = torch.stack(thetas[: steps + 1])
        error = last(trajectory, bias_power=1.0, **exact) - mu
        torch.testing.assert_close(error, s / a * noise[:steps].mean(0))
        assert error.square().mean() == pytest.approx(s**2 / (a**2 * steps), rel=0.12)
        assert abs(error.mean()) < 4 * s / a / (steps * chains) ** 0.5
        uniform_mean = last(trajectory, bias_power=None, **exact)  # remembers where it started, 10 away
        assert (uniform_mean - mu).mean() == pytest.approx(10 / steps, rel=0.2)


def test_agrees_with_trls_callback_where_trl_is_right():
    ours, theirs, model = BEMACallback(2, update_after=1), trl.BEMACallback(2, update_after=1), tiny_model()
    state = train_state()
    for callback in (ours, theirs):
        callback.on_train_begin(None, state, None, model=model)
    for state.global_step in range(1, 6):
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        for callback in (ours, theirs):
            callback.on_step_end(None, state, None, model=model)
    for name, parameter in theirs.running_model.named_parameters():
        torch.testing.assert_close(ours.weights.bema[name], parameter.data, rtol=1e-5, atol=1e-6)


def test_until_tau_bema_is_the_live_weights_and_theta_0_is_taken_at_tau():
    thetas, callback = walk(6), BEMACallback(2, update_after=3)
    found = follow(callback, thetas)
    assert all(torch.equal(ours, theta) for ours, theta in zip(found[:4], thetas[:4], strict=True))
    assert torch.equal(callback.weights.anchor["theta"], thetas[3])
    assert not torch.equal(found[5], thetas[5])


def test_nothing_is_read_between_updates_and_every_parameter_once_at_one():
    class Counted(dict):
        reads = 0

        def __getitem__(self, name):
            Counted.reads += 1
            return super().__getitem__(name)

    callback, state = BEMACallback(update_freq=4), train_state()
    callback.on_train_begin(None, state, None, model=nn.Linear(3, 2))
    callback._live = Counted(callback._live)
    reads = []
    for state.global_step in range(1, 9):
        Counted.reads = 0
        callback.on_step_end(None, state, None)
        reads.append(Counted.reads)
    assert reads == [0, 0, 0, 2, 0, 0, 0, 2]


@pytest.mark.parametrize(("bias_power", "bytes_each"), [(0.2, 12), (None, 4), (-1.0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_what_the_docstring_says(bias_power, bytes_each, dtype):
    callback, model = BEMACallback(1, bias_power=bias_power), Weights(torch.randn(1000, dtype=dtype))
    follow(callback, torch.randn(4, 1000, dtype=dtype), model=model)
    assert callback.weights.bytes() == 1000 * bytes_each
    held = {t.data_ptr(): t.nbytes for b in (callback.weights.anchor, callback.weights.ema, callback.weights.bema)
            for t in b.values()}  # fmt: skip
    assert sum(held.values()) == 1000 * bytes_each


def test_other_ranks_hold_no_buffers():
    callback = BEMACallback(1)
    follow(callback, walk(5), rank=1)
    assert callback.started and callback.weights.bytes() == 0


def test_bf16_weights_are_averaged_in_fp32():
    thetas = torch.cat([torch.ones(1, 1), torch.full((300, 1), 1.0 + 2**-7)]).to(torch.bfloat16)
    options = {"ema_power": 8, "bias_power": None, "min_ema_multiplier": 0.01}
    found = last(thetas, **options)
    assert found.dtype == torch.float32
    expected = expected_bema(thetas, 1, kappa=8, eta=None, floor=0.01)[-1]
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    in_bf16 = thetas[0].clone()
    for theta in thetas[1:]:  # an increment below half a unit in the last place is lost: the average stands still
        in_bf16.mul_(0.99).add_(theta, alpha=0.01)
    assert abs(in_bf16.double() - expected) > 1e-3


def test_frozen_layers_are_left_out_wherever_they_stand():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 7), nn.Linear(7, 2))
    model[0].requires_grad_(False)
    callback, state = BEMACallback(1), train_state()
    callback.on_train_begin(None, state, None, model=model)
    start = model[1].weight.detach().clone()
    model[1].weight.data.mul_(2)
    state.global_step = 1
    callback.on_step_end(None, state, None)
    assert set(callback.weights.bema) == {"1.weight", "1.bias"}
    expected = expected_bema(torch.stack([start, 2 * start]), 1)[-1]
    torch.testing.assert_close(callback.weights.bema["1.weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_tied_weights_are_averaged_once():
    model = tiny_model()
    model.lm_head.weight = model.model.embed_tokens.weight
    callback = BEMACallback(1)
    callback.on_train_begin(None, train_state(), None, model=model)
    assert "lm_head.weight" not in callback.weights.bema
    assert callback.weights.bytes() == 12 * sum(p.numel() for p in model.parameters())


def test_inside_swapped_in_the_model_has_the_average_and_afterwards_its_own_weights_even_after_an_error():
    thetas, callback = walk(4, torch.bfloat16), BEMACallback(1)
    model = Weights(thetas[0])
    found = follow(callback, thetas, model=model)[-1]
    with pytest.raises(KeyError), callback.swapped_in(), callback.swapped_in():
        assert torch.equal(model.theta.data, found.to(torch.bfloat16))
        raise KeyError
    assert torch.equal(model.theta.data, thetas[-1]) and torch.equal(callback.weights.bema["theta"], found)


@pytest.mark.parametrize("start", [2, 5, 6])
@pytest.mark.parametrize("bias_power", [0.2, None])
def test_saved_and_resumed_equals_uninterrupted_to_the_last_bit(tmp_path, start, bias_power):
    thetas = walk(12, torch.float32)
    args = SimpleNamespace(output_dir=str(tmp_path), save_only_model=False)
    options = {"update_freq": 3, "update_after": 3, "bias_power": bias_power}
    whole = follow(BEMACallback(**options), thetas)
    first, second = BEMACallback(**options), BEMACallback(**options)
    follow(first, thetas[: start + 1], args=args)
    (tmp_path / f"checkpoint-{start}").mkdir()
    first.on_save(args, train_state(start), None)
    resumed = follow(second, thetas, args=args, first=start)
    assert all(torch.equal(a, b) for a, b in zip(resumed, whole[start:], strict=True))


def test_resuming_without_saved_state_is_refused_rather_than_anchored_anew(tmp_path):
    args = SimpleNamespace(output_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"bema_state\.json.*update_after=6"):
        follow(BEMACallback(1), walk(9), args=args, first=5)
    follow(BEMACallback(1, update_after=6), walk(9), args=args, first=5)


def test_a_state_of_other_parameters_is_refused():
    one, other = BEMAWeights(BEMASchedule()), BEMAWeights(BEMASchedule())
    one.start({"a": torch.zeros(2)})
    for parameters in ({"b": torch.zeros(2)}, {"a": torch.zeros(3)}):
        with pytest.raises(ValueError, match="does not fit the trainable parameters"):
            other.load_state_dict(one.state_dict(), parameters)
    without_correction = BEMAWeights(replace(BEMASchedule(), bias_power=None))
    with pytest.raises(ValueError, match="bias correction switched"):
        without_correction.load_state_dict(one.state_dict(), {"a": torch.zeros(2)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "papr"}, "did you mean 'paper'"),
        ({"update_freq": 0}, "update_freq=0"),
        ({"update_after": -1}, "update_after=-1"),
        ({"min_ema_multiplier": 1.5}, "min_ema_multiplier=1.5"),
        ({"lag": 0, "multiplier": 0.001}, "larger than 1"),
        ({"update_freq": 300}, "Set ref_model_update_freq=300"),
        ({"update_freq": 100, "ref_model_update_freq": 250}, "Set ref_model_update_freq=200"),
        ({"update_freq": 100, "ref_model_update_after": 50}, "Set ref_model_update_after="),
        ({"update_after": 500}, "Set ref_model_update_after=500"),
        ({"update_freq": 1, "ref_model_update_freq": 0}, "ref_model_update_freq=0"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_callback_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        BEMACallback(update_ref_model=True, **options)
