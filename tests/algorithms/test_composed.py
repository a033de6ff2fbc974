"""One trainer with every part: each is neutral to the last bit where it is not configured; all of them work at once.

The rewards are scripted by step, so that two trainers meet the same groups: some wasted, some not.
"""

import json

import pytest
import torch
from bema_trainers import losses
from replay_setup import EQUAL, GROUP, REUSE, STRONG, Script, loss_inputs, move, rollout, store
from test_replay_ranks import start
from test_replay_resume import assert_same_buffer, assert_same_run
from tiny_policy import scripted_rollout, tiny_prompts, tiny_tokenizer

from expctl.algorithms.bema_for_ref_model import BEMACallback
from expctl.algorithms.bema_for_ref_model import GRPOTrainer as BEMATrainer
from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.gfpo import GFPOTrainer
from expctl.algorithms.grpo import GRPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferTrainer
from expctl.algorithms.gspo_token import GRPOTrainer as GSPOTokenTrainer
from expctl.algorithms.token_advantages import DiscountedCredit

FILTER = {"num_remains_in_group": 2, "group_filter_func": "shortest"}
RATIO = {"importance_sampling_level": "sequence_token", "loss_type": "grpo", "epsilon": 3e-4, "epsilon_high": 4e-4}
REPLAY = {"replay_buffer_size": 8, "replay_max_uses": 2, "replay_max_age": 5}
TOGETHER = FILTER | RATIO | REPLAY
KEYWORDS = ("group_filter_func", "token_advantages", "callbacks")
STEPS = {"max_steps": 6, "logging_steps": 1, "save_strategy": "no", "learning_rate": 1e-2, "bf16": False}
STEPS |= {"per_device_train_batch_size": 2 * GROUP, "num_generations": GROUP, "max_completion_length": 8}
STEPS |= {"report_to": "none", "use_cpu": True, "disable_tqdm": True}

GRADED = [0.0, 3.0, 1.0, 2.0]


def by_step(completions, trainer_state, **_):
    """Every batch has a wasted group, and the next but one nothing else; a resumed run is asked for the same."""
    groups = [[EQUAL, GRADED], [GRADED, EQUAL], [EQUAL, EQUAL]][trainer_state.global_step % 3]
    return [reward for group in groups for reward in group]


def make(policy, folder, trainer=ComposedTrainer, rewards=by_step, **options):
    """A trainer of any of the simpler classes, or the composed one, on the same arguments."""
    keywords = {name: options.pop(name) for name in KEYWORDS if name in options}
    args = ComposedConfig(output_dir=str(folder), **STEPS | options)
    torch.manual_seed(0)
    return trainer(
        policy,
        rewards,
        args,
        tiny_prompts(),
        processing_class=tiny_tokenizer(),
        rollout_func=scripted_rollout,
        **keywords,
    )


def trained(*args, **options):
    trainer = make(*args, **options)
    trainer.train()
    return trainer


SIMPLER = {
    "nothing": (GRPOTrainer, {}),
    "filter": (GFPOTrainer, FILTER),
    "filter under mask": (GFPOTrainer, FILTER | {"filtered": "mask"}),
    "ratio": (GSPOTokenTrainer, RATIO),
    "ratio and credit": (GSPOTokenTrainer, RATIO | {"token_advantages": DiscountedCredit(0.9)}),
    "replay": (GRPOWithReplayBufferTrainer, REPLAY),
}


@pytest.mark.parametrize("name", SIMPLER)
@pytest.mark.parametrize("schedule", [{}, REUSE], ids=["once", "reused"])
def test_with_one_part_configured_it_is_the_simpler_trainer_to_the_last_bit(policy_folder, tmp_path, name, schedule):
    simpler, options = SIMPLER[name]
    one = trained(policy_folder, tmp_path, trainer=simpler, beta=0.1, **options, **schedule)
    two = trained(policy_folder, tmp_path, beta=0.1, **options, **schedule)
    assert_same_run(one, two)
    assert any(entry["grad_norm"] > 0 for entry in losses(two))


def test_with_a_moving_reference_alone_it_is_the_bema_trainer_to_the_last_bit(policy_folder, tmp_path):
    settings = {"update_ref_model": True, "update_freq": 1, "ref_model_update_freq": 2}
    runs = [
        trained(policy_folder, tmp_path, trainer=trainer, beta=0.5, callbacks=[BEMACallback(**settings)])
        for trainer in (BEMATrainer, ComposedTrainer)
    ]
    assert_same_run(*runs)
    references = [dict(run.ref_model.named_parameters()) for run in runs]
    assert all(torch.equal(references[0][name], references[1][name]) for name in references[0])
    still = make(policy_folder, tmp_path, beta=0.5).ref_model
    assert any(not torch.equal(value, references[1][name]) for name, value in still.named_parameters())


def test_what_a_moving_reference_excludes_is_refused_before_a_weight_is_loaded(tmp_path):
    callback = BEMACallback(update_ref_model=True)
    with pytest.raises(ValueError, match=r"args\.beta=0"):
        make("/no/such/model", tmp_path, callbacks=[callback])


@pytest.mark.parametrize("filtered", ["drop", "mask"])
@pytest.mark.parametrize("correction", ["mask", "truncate"])
def test_all_parts_together_train_and_stay_finite(policy_folder, tmp_path, filtered, correction):
    callback = BEMACallback(update_ref_model=True, update_freq=2, ref_model_update_freq=2)
    options = TOGETHER | {"token_advantages": DiscountedCredit(0.9), "filtered": filtered}
    options |= {"replay_correction": correction, "beta": 0.1, "callbacks": [callback], "max_steps": 6}
    run = trained(policy_folder, tmp_path, **options)
    start = make(policy_folder, tmp_path)
    assert all(value.isfinite().all() for value in run.model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(run.model.parameters(), start.model.parameters(), strict=True))
    assert sum(entry.get("replay/rescued", 0) for entry in losses(run)) > 0
    assert all(entry["gfpo/num_remains"] == 2 for entry in losses(run))
    assert callback.started and callback._reference_step == 6


def test_replayed_groups_stand_only_where_the_kept_rows_have_no_variance_and_the_others_have_gfpos_advantages(
    policy_folder, tmp_path
):
    # Of the second batch the first group is varied, but not among the rows that the filter keeps.
    first, graded = [STRONG, GRADED], [3.0, 1.0, 0.0, 2.0]
    together = make(policy_folder, tmp_path, rewards=Script(first), **TOGETHER, replay_max_fraction=1.0)
    store(together)
    alone = make(policy_folder, tmp_path, GFPOTrainer, rewards=Script([graded, graded]), **FILTER)
    lengths = rollout(alone, step=1)["sample_index"].view(2, 2) % GROUP
    spoiled = [7.0 if place in lengths[0] else float(place) for place in range(GROUP)]
    for trainer in (together, alone):
        trainer.reward_funcs = [Script([spoiled, graded])]
    batch, expected = rollout(together, step=1), rollout(alone, step=1)
    assert batch["replayed"].tolist() == [True, True, False, False]
    assert torch.equal(expected["advantages"][:2], torch.zeros(2))
    assert (
        torch.equal(batch["advantages"][2:], expected["advantages"][2:]) and expected["advantages"][2:].abs().min() > 0
    )
    assert batch["advantages"][:2].abs().min() > 0
    width = expected["completion_ids"].shape[1]
    assert torch.equal(batch["completion_ids"][2:, :width], expected["completion_ids"][2:])


@pytest.mark.parametrize("filtered", ["drop", "mask"])
def test_the_ratio_is_that_of_the_whole_sequence_on_fresh_and_replayed_rows_alike(policy_folder, tmp_path, filtered):
    trainer = make(policy_folder, tmp_path, rewards=Script([EQUAL, GRADED]), **TOGETHER, **REUSE, filtered=filtered)
    store(trainer)
    batch = rollout(trainer, step=1)
    assert batch["replayed"].any() and not batch["replayed"].all()
    move(trainer, 0.1)
    inputs, now = loss_inputs(trainer, batch), trainer._pending.captured[-1][1]
    mask, then = batch["completion_mask"], batch["old_per_token_logps"]
    ratio = (now - inputs["old_per_token_logps"]).exp()
    sequence = (((now - then) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)).exp()
    for rows in (batch["replayed"], ~batch["replayed"]):
        assert (sequence[rows] - 1).abs().max() > 1e-3
        torch.testing.assert_close(ratio[rows] * mask[rows], sequence[rows] * mask[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "interrupted_at"),
    [({}, 3), (REUSE, 3), (REUSE, 5), ({"steps_per_generation": 4, "per_device_train_batch_size": 2}, 5)],
)
def test_an_interrupted_run_of_all_parts_ends_as_the_one_that_was_not(
    policy_folder, tmp_path, schedule, interrupted_at
):
    """To the last bit: weights, optimizer, reference, buffer and everything logged after."""

    def options():
        bema = BEMACallback(update_ref_model=True, update_freq=2, ref_model_update_freq=2)
        together = TOGETHER | {"token_advantages": DiscountedCredit(0.9), "callbacks": [bema], "beta": 0.1}
        return together | {"save_strategy": "steps", "save_steps": 1, "max_steps": 8} | schedule

    whole = trained(policy_folder, tmp_path, **options())
    resumed = make(policy_folder, tmp_path, **options())
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{interrupted_at}"))
    assert_same_run(whole, resumed)
    for one, two in zip(whole.ref_model.parameters(), resumed.ref_model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert sum(entry.get("replay/rescued", 0) for entry in losses(whole)) > 0
    assert_same_buffer(whole.replay_buffer, resumed.replay_buffer)


def test_two_ranks_keep_replay_and_learn_what_one_does(tmp_path):
    """Groups straddle the ranks, and the rows of replayed ones travel."""
    reports = {}
    for world_size in (1, 2):
        folder = tmp_path / str(world_size)
        processes = start(folder, world_size, "composed_rank.py")
        outputs = [process.communicate(timeout=240)[0] for process in processes]
        assert all(process.returncode == 0 for process in processes), "\n".join(output[-3000:] for output in outputs)
        reports[world_size] = [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(world_size)]
    (one,), two = reports[1], reports[2]
    assert [report["processes"] for report in two] == [2, 2]
    assert sum(row["replayed"] for rollout in one["rollouts"] for row in rollout["rows"]) > 0
    for expected, found in zip(one["rollouts"], two[0]["rollouts"], strict=True):
        assert len(found["rows"]) == 30 and found["tokens"] == expected["tokens"]
        for field in ("prompt", "completion", "replayed"):
            assert [row[field] for row in found["rows"]] == [row[field] for row in expected["rows"]]
        for a, b in zip(expected["rows"], found["rows"], strict=True):
            assert b["advantage"] == pytest.approx(a["advantage"], abs=1e-5)
    for report in two:
        assert report["buffer"] == one["buffer"] and one["buffer"]
        assert report["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=2e-2)
