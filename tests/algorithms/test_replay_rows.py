"""What replayed rows, and fresh ones beside them, are trained with."""

import pytest
import torch
import trl
from peft import LoraConfig
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
    loss_inputs,
    move,
    replay_trainer,
    rollout,
    rows_of,
    saved_tiny_model,
    store,
)
from tiny_policy import scripted_rollout, tiny_model
from trl.trainer.utils import nanstd

from expctl.algorithms.gfpo import GroupFiltering
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferTrainer
from expctl.algorithms.gspo_token import SequenceTokenRatio
from expctl.algorithms.replay import GroupReplay
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.rows import unpack
from expctl.algorithms.token_advantages import TokenAdvantages
from expctl.algorithms.trainer_hooks import ScoredRollout


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


def test_in_a_mixed_batch_fresh_rows_stand_at_ratio_one_and_replayed_ones_at_their_own(tmp_path):
    trainer = replay_trainer(tmp_path, Script([EQUAL, MIXED]))
    written = loss_inputs(trainer, rollout(trainer, step=0))
    then = trainer._pending.captured[0][1]
    trainer._store_pending()
    move(trainer)
    batch = rollout(trainer, step=1)
    inputs, now = loss_inputs(trainer, batch), trainer._pending.captured[-1][1]
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


def test_the_reference_of_an_adapter_is_the_model_without_it_also_for_replayed_rows(tmp_path):
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    trainer = replay_trainer(tmp_path, Script([MIXED, EQUAL]), peft_config=lora, beta=0.1)
    store(trainer)
    batch = rollout(trainer, step=1)
    base = tiny_model()
    assert batch["replayed"].any()
    for row in unpack(batch):
        ids = torch.cat([row["prompt_ids"], row["completion_ids"]])
        logps = base(ids.unsqueeze(0)).logits[0, :-1].log_softmax(-1).gather(1, ids[1:].unsqueeze(1)).squeeze(1)
        expected = logps[-len(row["completion_ids"]) :]
        torch.testing.assert_close(row["ref_per_token_logps"], expected, rtol=0, atol=1e-4)


# Together with filtering and with the ratio of sequences


GRADED = [0.0, 1.0, 2.0, 3.0]


class EverythingTrainer(
    RolloutCheckpoint, ScoredRollout, GroupReplay, SequenceTokenRatio, GroupFiltering, TokenAdvantages, trl.GRPOTrainer
):
    pass
