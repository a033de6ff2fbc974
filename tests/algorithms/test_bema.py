"""BEMA's arithmetic, through the callback, against an independent float64 BEMA."""

import pytest
import torch
import trl
from bema_cases import expected_bema, follow, train_state, walk
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_policy import tiny_model

from expctl.algorithms.bema_callback import BEMACallback
from expctl.algorithms.bema_schedule import BEMASchedule

EVERY_STEP = {"update_freq": 1}


def last(thetas, **options):
    return follow(BEMACallback(**EVERY_STEP | options), thetas)[-1]


@settings(max_examples=40)
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
