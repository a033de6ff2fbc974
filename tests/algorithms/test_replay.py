"""When replay changes nothing, which groups it stores and replaces, what it refuses and reports."""

import math

import pytest
import torch
import trl
from replay_setup import (
    EQUAL,
    GROUP,
    MIXED,
    REUSE,
    STRONG,
    Script,
    replay_trainer,
    rollout,
    rows_of,
    store,
)

from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.algorithms.replay import GroupReplay

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
    trainer = replay_trainer(
        tmp_path, Script([MIXED] * 4, [EQUAL] * 4), per_device_train_batch_size=16, replay_max_fraction=0.5
    )
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
