"""Replay together with filtering, the ratio of sequences and the credit of tokens."""

import pytest
import torch
from replay_setup import (
    EQUAL,
    GROUP,
    Script,
    loss_inputs,
    move,
    rollout,
    rows_of,
    store,
)
from tiny_policy import scripted_rollout, tiny_model, tiny_prompts, tiny_tokenizer

from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.rows import unpack
from expctl.algorithms.token_advantages import DiscountedCredit

GRADED = [0.0, 1.0, 2.0, 3.0]


def everything(folder, script, **options):
    settings = {"per_device_train_batch_size": 2 * GROUP, "num_generations": GROUP, "num_remains_in_group": 2}
    settings |= {"report_to": "none", "use_cpu": True, "bf16": False, "disable_tqdm": True, "save_strategy": "no"}
    settings |= {
        "importance_sampling_level": "sequence_token",
        "loss_type": "grpo",
        "replay_buffer_size": 64,
        "max_completion_length": 8,
    }
    return ComposedTrainer(
        tiny_model(),
        script,
        ComposedConfig(output_dir=str(folder), **settings | options),
        tiny_prompts(),
        processing_class=tiny_tokenizer(),
        rollout_func=scripted_rollout,
        group_filter_func="shortest",
        token_advantages=DiscountedCredit(0.5),
    )


def test_what_is_stored_of_a_filtered_group_are_its_kept_rows_with_the_credit_of_their_tokens(tmp_path):
    trainer = everything(tmp_path, Script([GRADED, GRADED], [EQUAL, GRADED]))
    first = store(trainer)
    assert len(first["prompt_ids"]) == 4
    assert [len(group.rows) for group in trainer.replay_buffer.groups] == [2, 2]
    rows = [row for group in trainer.replay_buffer.groups for row in group.rows]
    stored = {tuple(row["completion_ids"].tolist()): row["advantages"] for row in rows}
    assert sorted(stored) == sorted(map(tuple, rows_of(first)))
    assert all(len(credit) == len(ids) for ids, credit in stored.items())
    batch = rollout(trainer, step=1)
    assert batch["replayed"].tolist() == [True, True, False, False]
    for row in unpack(batch)[:2]:
        torch.testing.assert_close(row["advantages"], stored[tuple(row["completion_ids"].tolist())])


def test_under_mask_a_group_whose_kept_rows_are_equal_is_replaced_whatever_the_rejected_ones_earned(tmp_path):
    trainer = everything(tmp_path, Script([GRADED, GRADED]), filtered="mask", replay_max_fraction=1.0)
    store(trainer)
    shortest = rollout(trainer, step=0)["advantages"].abs().sum(1) > 0
    spoiled = [5.0 if kept else float(i) for i, kept in enumerate(shortest[:GROUP])]
    trainer.reward_funcs = [Script([spoiled, GRADED])]
    assert rollout(trainer, step=0)["replayed"].tolist() == [True] * GROUP + [False] * GROUP


@pytest.mark.parametrize("correction", ["mask", "truncate"])
def test_the_ratio_of_a_replayed_sequence_is_that_to_the_policy_that_wrote_it(tmp_path, correction):
    trainer = everything(tmp_path, Script([EQUAL, GRADED]), replay_correction=correction)
    store(trainer)
    move(trainer, 0.1)
    batch = rollout(trainer, step=1)
    inputs, now = loss_inputs(trainer, batch), trainer._pending.captured[-1][1]
    mask, then = batch["completion_mask"], batch["old_per_token_logps"]
    log_s = ((now - then) * mask).sum(1) / mask.sum(1)
    expected = torch.where(batch["replayed"], log_s if correction == "mask" else 0.0, 0.0)
    found = ((now - inputs["old_per_token_logps"]) * mask).sum(1) / mask.sum(1)
    assert batch["replayed"].any() and log_s[batch["replayed"]].abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
