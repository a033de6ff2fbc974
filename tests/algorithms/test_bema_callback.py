"""What BEMA's callback keeps, when it works, what it takes, saves and refuses."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from bema_cases import Weights, expected_bema, follow, train_state, walk
from tiny_policy import tiny_model
from torch import nn

from expctl.algorithms.bema import BEMAWeights
from expctl.algorithms.bema_callback import BEMACallback
from expctl.algorithms.bema_schedule import BEMASchedule


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
    held = {
        t.data_ptr(): t.nbytes
        for b in (callback.weights.anchor, callback.weights.ema, callback.weights.bema)
        for t in b.values()
    }
    assert sum(held.values()) == 1000 * bytes_each


def test_other_ranks_hold_no_buffers():
    callback = BEMACallback(1)
    follow(callback, walk(5), rank=1)
    assert callback.started and callback.weights.bytes() == 0


def test_bf16_weights_are_averaged_in_fp32():
    thetas = torch.cat([torch.ones(1, 1), torch.full((300, 1), 1.0 + 2**-7)]).to(torch.bfloat16)
    options = {"ema_power": 8, "bias_power": None, "min_ema_multiplier": 0.01}
    found = follow(BEMACallback(1, **options), thetas)[-1]
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
        ({"time": "papr"}, "Nearest: 'paper'"),
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
