"""Completions of another engine: kept, replayed and weighed rows keep the probabilities that they were drawn with.

A rollout with log-probabilities and the flags of vLLM stand in for it: the correction is upstream's, without an engine.
"""

import pytest
import torch
from replay_setup import EQUAL, MIXED, Script, loss, replay_trainer, rollout, store
from tiny_policy import scripted_rollout

from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.rows import unpack

CORRECTED = ("sampling_per_token_logps", "importance_sampling_ratio", "old_per_token_logps")
MODES = ["sequence_mask", "token_truncate"]


def sampled_elsewhere(prompts, trainer):
    """The scripted completions, as an engine that drifts from step to step has drawn them."""
    drawn = scripted_rollout(prompts, trainer)
    drift = 0.3 * trainer.state.global_step
    drawn["logprobs"] = [
        [-2.0 - drift - 0.1 * (t + i % 3) for t in range(len(ids))] for i, ids in enumerate(drawn["completion_ids"])
    ]
    return drawn


def with_engine(trainer):
    """Let the trainer take its completions for those of vLLM, whose weights are there already."""
    trainer.use_vllm = True
    trainer.vllm_generation = type("Engine", (), {"sync_weights": lambda self: None})()
    trainer._last_loaded_step = -1
    return trainer


def real_rows(batch):
    return [row for row in unpack(batch) if int(row["completion_mask"].sum())]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("correction", ["mask", "truncate"])
def test_replayed_rows_keep_the_probabilities_of_the_engine_that_drew_them(tmp_path, mode, correction):
    trainer = replay_trainer(
        tmp_path,
        Script([MIXED, MIXED], [EQUAL, EQUAL]),
        rollout_func=sampled_elsewhere,
        vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_max=1e6,
        replay_warmup_steps=0,
        replay_correction=correction,
    )
    first = unpack(store(with_engine(trainer), step=0))
    batch = rollout(trainer, step=1)
    replayed = [row for row in unpack(batch) if row["replayed"]]
    fresh = [row for row in unpack(batch) if not row["replayed"]]
    assert replayed
    by_ids = {tuple(row["completion_ids"].tolist()): row for row in first}
    for row in replayed:
        drawn = by_ids[tuple(row["completion_ids"].tolist())]
        for key in CORRECTED:
            torch.testing.assert_close(row[key], drawn[key], msg=key)
    for row in fresh:  # of the engine as it is now
        assert float(row["sampling_per_token_logps"].max()) < -2.2
    ratio = batch["importance_sampling_ratio"]
    assert ratio.isfinite().all() and not torch.allclose(ratio, torch.ones_like(ratio))
    assert loss(trainer, batch).isfinite()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filtered", ["drop", "mask"])
def test_a_filter_with_the_ratio_of_sequences_and_replay_keeps_them_too(tmp_path, mode, filtered):
    """All parts at once: what is left after the filter has the ratio that its own tokens give."""
    trainer = composed(tmp_path, mode, filtered, level="sequence_token")
    batch = rollout(with_engine(trainer), step=1)
    rows = [row for row in real_rows(batch) if row["advantages"].abs().sum() > 0]
    assert rows
    for row in rows:
        difference = row["old_per_token_logps"] - row["sampling_per_token_logps"]
        expected = difference.exp() if mode.startswith("token") else difference.sum().exp().view(1)
        torch.testing.assert_close(row["importance_sampling_ratio"].view(-1), expected.view(-1), rtol=1e-5, atol=1e-6)
    assert loss(trainer, batch).isfinite()


@pytest.mark.parametrize("mode", MODES)
def test_the_ratio_of_the_engines_weighs_a_sequences_loss_at_both_levels_alike(tmp_path, mode):
    """GSPO-token with one advantage a sequence is GSPO, also of completions that another engine drew."""
    losses = []
    for level in ("sequence", "sequence_token"):
        trainer = composed(tmp_path / level, mode, "mask", level=level)
        losses.append(loss(trainer, rollout(with_engine(trainer), step=1)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and losses[0] != 0


def composed(folder, mode, filtered, level):
    return replay_trainer(
        folder,
        Script([[0.0, 1.0, 2.0, 3.0], [3.0, 1.0, 0.0, 2.0]]),
        trainer=lambda *args, **keywords: ComposedTrainer(*args, group_filter_func="shortest", **keywords),
        config=ComposedConfig,
        rollout_func=sampled_elsewhere,
        vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_max=1e6,
        num_remains_in_group=2,
        filtered=filtered,
        loss_type="grpo",
        importance_sampling_level=level,
    )
