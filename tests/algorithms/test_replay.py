"""Replay inside a trainer: what is replaced by what, what it is trained with, and when nothing must change."""

import math
from types import SimpleNamespace

import pytest
import torch
import trl
from replay_setup import (
    ACCUMULATE,
    EQUAL,
    GROUP,
    MIXED,
    REUSE,
    STRONG,
    Script,
    gradients,
    loss,
    replay_trainer,
    rollout,
    saved_tiny_model,
)
from tiny_policy import scripted_rollout, tiny_model
from trl.trainer.utils import nanstd

from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.algorithms.replay import GroupReplay
from expctl.algorithms.replay_correction import correct_replayed
from expctl.algorithms.rows import unpack


def rows_of(batch, field="completion_ids"):
    return [row[field].tolist() for row in unpack(batch)]


def store(trainer, step=None):
    """Roll out, take one loss on the batch so that its log-probabilities are known, and put it into the buffer."""
    batch = rollout(trainer, step)
    loss(trainer, batch)
    trainer._store_pending()
    return batch


# Nothing to replay is GRPO


@pytest.mark.parametrize("reuse", [{}, REUSE])
@pytest.mark.parametrize(
    ("rewards", "bounds"),
    [
        pytest.param([[EQUAL, MIXED]], {"replay_buffer_size": 0}, id="size 0"),
        pytest.param([[STRONG, MIXED]], {}, id="every group has variance"),
        pytest.param([[EQUAL, EQUAL]], {}, id="no group has variance and the buffer is empty"),
        pytest.param([[EQUAL, MIXED]], {"replay_warmup_steps": 100}, id="before warm-up"),
        pytest.param([[EQUAL, MIXED]], {"replay_max_fraction": 0.4}, id="no group allowed"),
        pytest.param([[EQUAL, MIXED]], {"replay_buffer_max_bytes": 0}, id="no bytes allowed"),
    ],
)
def test_without_a_replayed_group_training_is_grpo_to_the_last_bit(tmp_path, rewards, bounds, reuse):
    found = []
    for trainer in (GRPOWithReplayBufferTrainer, trl.GRPOTrainer):
        run = replay_trainer(tmp_path, Script(*rewards), trainer=trainer, **bounds, **reuse)
        run.train()
        losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
        found.append((losses, [parameter.detach() for parameter in run.model.parameters()]))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found[0][1], found[1][1], strict=True))


def test_evaluation_neither_stores_nor_replays(tmp_path):
    trainer = replay_trainer(tmp_path, Script([MIXED, STRONG], [EQUAL, MIXED]))
    store(trainer)
    before = [(group.serial, group.uses) for group in trainer.replay_buffer.groups]
    trainer.model.eval()
    batch = trainer._generate_and_score_completions([{"prompt": "1a"}] * 8)
    assert not {"replayed", "stored_position"} & batch.keys()
    trainer._store_pending()
    assert [(group.serial, group.uses) for group in trainer.replay_buffer.groups] == before


# Which groups are stored and replaced


@pytest.mark.parametrize("useless", [0, 1])
def test_in_a_mixed_batch_the_useful_group_is_stored_and_the_useless_one_replaced(tmp_path, useless):
    second = [MIXED, MIXED]
    second[useless] = EQUAL
    trainer = replay_trainer(tmp_path, Script(second, second))
    first = store(trainer)
    kept = slice((1 - useless) * GROUP, (2 - useless) * GROUP)
    (group,) = trainer.replay_buffer.groups
    assert [row["completion_ids"].tolist() for row in group.rows] == rows_of(first)[kept]
    assert [row["advantages"].item() for row in group.rows] == first["advantages"][kept].tolist()
    assert group.rewards.flatten().tolist() == MIXED

    batch = rollout(trainer, step=1)
    replaced = slice(useless * GROUP, (useless + 1) * GROUP)
    assert batch["replayed"].tolist() == [row // GROUP == useless for row in range(2 * GROUP)]
    assert rows_of(batch)[replaced] == rows_of(first)[kept]
    assert rows_of(batch, "prompt_ids")[replaced] == rows_of(first, "prompt_ids")[kept]
    assert batch["advantages"].abs().min() > 0.5


def test_every_row_of_a_replayed_group_comes_from_one_group_in_its_order(tmp_path):
    trainer = replay_trainer(tmp_path, Script([MIXED] * 4, [EQUAL] * 4), per_device_train_batch_size=16)
    first = store(trainer)
    batch = rollout(trainer, step=1)
    groups = [rows_of(first)[i : i + GROUP] for i in range(0, 16, GROUP)]
    replayed = [rows_of(batch)[i : i + GROUP] for i in range(0, 16, GROUP) if batch["replayed"][i]]
    assert len(replayed) == 2 and all(group in groups for group in replayed)
    assert replayed[0] != replayed[1]


@pytest.mark.parametrize(("fraction", "expected"), [(0.25, 1), (0.5, 2), (0.74, 2), (1.0, 4)])
def test_no_more_than_the_allowed_share_of_groups_is_replayed(tmp_path, fraction, expected):
    script = Script([MIXED] * 4, [EQUAL] * 4)
    trainer = replay_trainer(tmp_path, script, per_device_train_batch_size=16, replay_max_fraction=fraction)
    store(trainer)
    assert rollout(trainer, step=1)["replayed"].sum() == expected * GROUP


def test_groups_are_stored_before_warm_up_and_replayed_from_its_end_until_max_age(tmp_path):
    trainer = replay_trainer(
        tmp_path, Script([MIXED, EQUAL], [EQUAL, EQUAL]), replay_warmup_steps=3, replay_max_age=5, replay_max_uses=100
    )
    store(trainer, step=0)
    assert ["replayed" in rollout(trainer, step) for step in range(1, 9)] == [False] * 2 + [True] * 3 + [False] * 3
    assert len(trainer.replay_buffer) == 0


def test_a_group_with_unscored_rows_counts_by_its_scored_ones(tmp_path):
    script = Script([[None, 1.0, 2.0, None], [None, None, 3.0, None]], [[None] * 4, EQUAL])
    trainer = replay_trainer(tmp_path, script, replay_max_fraction=1.0)
    store(trainer)
    (group,) = trainer.replay_buffer.groups
    assert group.priority == pytest.approx(1.0)
    assert group.rewards.isnan().flatten().tolist() == [True, False, False, True]
    assert rollout(trainer, step=1)["advantages"][:GROUP][[0, 3]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("aggregation", "stored"), [("sum_then_normalize", 0), ("normalize_then_sum", 2)])
def test_two_rewards_that_cancel_are_useless_summed_and_useful_normalised(tmp_path, aggregation, stored):
    script, opposite = Script([MIXED, MIXED]), Script([[1.0 - reward for reward in MIXED]] * 2)
    opposite.__name__ = "opposite"
    trainer = replay_trainer(tmp_path, script, opposite, multi_objective_aggregation=aggregation)
    store(trainer)
    assert len(trainer.replay_buffer) == stored


# What a replayed group is trained with


def test_replaying_the_group_just_stored_at_the_same_weights_gives_its_gradient_and_ratio_one(tmp_path):
    options = {"per_device_train_batch_size": GROUP, "replay_max_fraction": 1.0}
    trainer = replay_trainer(tmp_path, Script([MIXED], [EQUAL]), **options)
    fresh = rollout(trainer, step=0)
    expected = gradients(trainer, fresh)
    batch = rollout(trainer, step=1)
    assert batch["replayed"].all()
    for name in fresh.keys() - {"stored_position"}:
        assert torch.equal(batch[name], fresh[name]), name
    found = gradients(trainer, batch)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert trainer._metrics["train"]["replay/effective_sample_size"] == [1.0]
    assert trainer._metrics["train"]["replay/kl"] == [0.0]


@pytest.mark.parametrize("reuse", [{}, REUSE])
def test_stored_log_probabilities_are_those_of_the_policy_that_wrote_the_group(tmp_path, reuse):
    trainer = replay_trainer(tmp_path, Script([MIXED, STRONG]), temperature=0.7, max_steps=4, **reuse)
    author = tiny_model()
    trainer.train()
    trainer._store_pending()
    first = [group for group in trainer.replay_buffer.groups if group.step == 0]
    assert len(first) == 2
    for group in first:
        for row in group.rows:
            ids = torch.cat([row["prompt_ids"], row["completion_ids"]]).long()
            logits = author(ids.unsqueeze(0)).logits[0, :-1].double() / 0.7
            logps = logits.log_softmax(-1).gather(1, ids[1:].unsqueeze(1)).squeeze(1)
            expected = logps[-len(row["completion_ids"]) :]
            torch.testing.assert_close(row["old_per_token_logps"].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("reuse", [{}, ACCUMULATE, REUSE])
def test_replay_asks_for_no_forward_pass_beyond_grpos(tmp_path, reuse):
    counts = []
    for trainer in (GRPOWithReplayBufferTrainer, trl.GRPOTrainer):
        run, calls = replay_trainer(tmp_path, Script([MIXED, EQUAL]), trainer=trainer, **reuse), []
        run.model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        run.train()
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


def loss_inputs(trainer, batch):
    """What TRL's own loss is given, once everything has been revised."""
    seen, original = {}, trl.GRPOTrainer._compute_loss

    def spy(self, model, inputs):
        try:
            return original(self, model, inputs)
        finally:
            seen.update(inputs)

    trl.GRPOTrainer._compute_loss = spy
    try:
        loss(trainer, batch)
    finally:
        trl.GRPOTrainer._compute_loss = original
    return seen


def move(trainer, size=0.3):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)


def test_in_a_mixed_batch_fresh_rows_stand_at_ratio_one_and_replayed_ones_at_their_own(tmp_path):
    trainer = replay_trainer(tmp_path, Script([EQUAL, MIXED]))
    written = loss_inputs(trainer, rollout(trainer, step=0))
    then = trainer._captured[0][1]
    trainer._store_pending()
    move(trainer)
    batch = rollout(trainer, step=1)
    inputs, now = loss_inputs(trainer, batch), trainer._captured[-1][1]
    replayed, mask = batch["replayed"], batch["completion_mask"].bool()
    assert "old_per_token_logps" not in written
    assert torch.equal(inputs["old_per_token_logps"][~replayed], now[~replayed])
    width = then.shape[1]
    expected, found = then[GROUP:], inputs["old_per_token_logps"][replayed]
    assert torch.equal(found[:, :width][mask[replayed][:, :width]], expected[mask[replayed][:, :width]])
    assert (found - now[replayed])[mask[replayed]].abs().max() > 0.01


def test_fresh_rows_keep_upstreams_old_log_probabilities_when_there_are_any(tmp_path):
    trainer = replay_trainer(tmp_path, Script([EQUAL, MIXED]), num_iterations=2)
    store(trainer)
    stock = {}
    original = trl.GRPOTrainer._generate_and_score_completions

    def spy(self, inputs):
        stock.update(original(self, inputs))
        return dict(stock)

    trl.GRPOTrainer._generate_and_score_completions = spy
    try:
        batch = rollout(trainer, step=1)
    finally:
        trl.GRPOTrainer._generate_and_score_completions = original
    fresh = ~batch["replayed"]
    assert rows_of({**batch})[GROUP:] == rows_of(stock)[GROUP:]
    width = min(batch["old_per_token_logps"].shape[1], stock["old_per_token_logps"].shape[1])
    assert torch.equal(batch["old_per_token_logps"][fresh, :width], stock["old_per_token_logps"][fresh, :width])
    assert not batch["old_is_current"].any()


def test_the_tokens_of_the_new_batch_are_counted_anew(tmp_path):
    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]))
    store(trainer)
    batch = rollout(trainer, step=1)
    assert batch["replayed"].any()
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()


def test_tool_masks_and_sampling_log_probabilities_travel_with_their_rows(tmp_path):
    def with_tools(prompts, trainer):
        output = scripted_rollout(prompts, trainer)
        shift = trainer.state.global_step
        lengths = [len(ids) for ids in output["completion_ids"]]
        return output | {
            "logprobs": [[-0.1 * (i + shift + 1)] * n for i, n in enumerate(lengths)],
            "env_mask": [[0] + [1] * (n - 1) for n in lengths],
        }

    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]), rollout_func=with_tools)
    first = store(trainer, step=0)
    batch = rollout(trainer, step=1)
    for field in ("tool_mask", "sampling_per_token_logps"):
        assert rows_of(batch, field)[GROUP:] == rows_of(first, field)[:GROUP]
    assert batch["num_items_in_batch"] == (batch["completion_mask"] * batch["tool_mask"]).sum()


def test_reference_log_probabilities_of_replayed_rows_are_those_of_the_reference_model_now(tmp_path):
    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]), model=saved_tiny_model(tmp_path / "model"), beta=0.1)
    store(trainer)
    with torch.no_grad():
        for parameter in trainer.ref_model.parameters():
            parameter.mul_(1.5)
    batch = rollout(trainer, step=1)
    with torch.no_grad():
        expected, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.ref_model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
            batch["completion_ids"].shape[1],
        )
    assert batch["replayed"].any()
    torch.testing.assert_close(batch["ref_per_token_logps"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_advantages_scaled_by_the_batch_are_those_of_the_batch_as_it_has_become(tmp_path, aggregation):
    first, second = [STRONG, [0.0, 1.0, 2.0, 4.0]], [EQUAL, [3.0, 0.0, 0.0, 1.0]]
    trainer = replay_trainer(
        tmp_path, Script(first, second), scale_rewards="batch", multi_objective_aggregation=aggregation
    )
    store(trainer)
    batch = rollout(trainer, step=1)
    drawn = first[0] if batch["advantages"][0] == batch["advantages"][3] else first[1]
    rewards = torch.tensor([drawn, second[1]])
    if aggregation == "normalize_then_sum":
        rewards = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    expected = (rewards - rewards.mean(1, keepdim=True)) / (nanstd(rewards.flatten()) + 1e-4)
    torch.testing.assert_close(batch["advantages"], expected.flatten(), rtol=1e-4, atol=1e-5)


# The correction


def correction_case(kind, advantages, now, then, replayed, **settings):
    settings = {"replay_mask_threshold": 0.5, "replay_weight_cap": 2.0} | settings
    args = SimpleNamespace(replay_correction=kind, **settings)
    inputs = {
        "advantages": torch.tensor(advantages, dtype=torch.float64),
        "completion_mask": torch.ones(now.shape, dtype=torch.long),
        "replayed": torch.tensor(replayed),
        "old_is_current": ~torch.tensor(replayed),
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


@pytest.mark.parametrize("correction", ["mask", "truncate"])
def test_the_correction_leaves_the_gradient_of_fresh_rows_as_grpos(tmp_path, correction):
    trainer = replay_trainer(tmp_path, Script([EQUAL, MIXED]), replay_correction=correction, loss_type="grpo")
    store(trainer)
    move(trainer)
    batch = rollout(trainer, step=1)
    inputs = loss_inputs(trainer, batch)
    fresh = ~batch["replayed"]
    assert torch.equal(inputs["advantages"][fresh], batch["advantages"][fresh])
    before = dict(batch)
    loss(trainer, batch)
    assert before.keys() == batch.keys() and all(before[key] is batch[key] for key in before)


# Refusals and reports


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replay_buffer_size": -1}, "replay_buffer_size=-1 must be at least 0"),
        ({"replay_max_age": 0}, "replay_max_age=0 must be at least 1"),
        ({"replay_max_uses": 0}, "replay_max_uses=0 must be at least 1"),
        ({"replay_max_fraction": 0.0}, "replay_buffer_size=0 is no replay"),
        ({"replay_max_fraction": 1.1}, "must lie in"),
        ({"replay_weight_cap": 0.0}, "replay_weight_cap=0.0 must be above 0"),
        ({"replay_correction": "truncated"}, "Known: mask, truncate"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        GRPOWithReplayBufferConfig(output_dir=str(tmp_path), use_cpu=True, **options)


def test_a_plain_config_is_refused_before_the_model_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="needs the fields of GRPOWithReplayBufferConfig"):
        plain = trl.GRPOConfig(output_dir=str(tmp_path), use_cpu=True)
        GRPOWithReplayBufferTrainer("not/loaded", Script([EQUAL]), plain)


def test_a_vision_language_model_is_refused_by_name():
    class VisionTrainer:
        def __init__(self, model, reward_funcs, args):
            self._is_vlm = True

    class Trainer(GroupReplay, VisionTrainer):
        pass

    with pytest.raises(ValueError, match="Replay does not store images"):
        Trainer("model", args=GRPOWithReplayBufferConfig(use_cpu=True))


def test_the_share_of_wasted_and_rescued_groups_and_the_state_of_the_buffer_are_logged(tmp_path):
    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]), max_steps=3)
    trainer.train()
    first, second = (entry for entry in trainer.state.log_history[:2])
    assert first["replay/wasted"] == second["replay/wasted"] == 0.5
    assert (first["replay/rescued"], second["replay/rescued"]) == (0.0, 0.5)
    assert (first["replay/groups"], second["replay/groups"]) == (0, 1)
    assert second["replay/bytes"] > 0 and second["replay/age"] == 1.0 and second["replay/uses"] == 1.0
    assert 0 < second["replay/effective_sample_size"] <= 1.0 and math.isfinite(second["replay/kl"])


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"])
def test_every_loss_type_trains_on_replayed_groups(tmp_path, loss_type):
    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]), loss_type=loss_type, max_steps=6, **REUSE)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all(math.isfinite(entry["loss"]) for entry in logged)
    assert any(entry.get("replay/rescued") for entry in logged)
