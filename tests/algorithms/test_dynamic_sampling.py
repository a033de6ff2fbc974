"""Dynamic sampling: which groups give way to which, that rows stay together, and that nothing else changes."""

import json

import pytest
import resampling_rank
import torch
from datasets import Dataset, IterableDataset
from replay_setup import EQUAL, GROUP, REUSE, rollout, saved_tiny_model
from test_composed import GRADED, REPLAY, TOGETHER, make, trained
from test_replay_ranks import start
from test_replay_resume import assert_same_run, state_of
from tiny_policy import tiny_tokenizer

from expctl.algorithms.dynamic_sampling import DynamicSamplingConfig, DynamicSamplingTrainer
from expctl.algorithms.grpo import GRPOTrainer
from expctl.algorithms.token_advantages import DiscountedCredit


def odd_teach(prompts, completions, **_):
    """Groups of prompts with an odd digit have contrast: two in, on average, four of a batch's."""
    return [score(prompt, text) for prompt, text in zip(prompts, completions, strict=True)]


def score(prompt, text):
    return len(text) + int(text[0], 12) / 16 if int(prompt[0]) % 2 else 1.0


def none_teach(prompts, **_):
    return [1.0] * len(prompts)


def dynamic(folder, tmp_path, **options):
    return make(folder, tmp_path, **{"trainer": DynamicSamplingTrainer, "rewards": odd_teach} | options)


def last(trainer, name):
    return trainer._metrics["train"][f"dynamic_sampling/{name}"][-1]


def texts(batch):
    decode = tiny_tokenizer().batch_decode
    return [decode(batch[field], skip_special_tokens=True) for field in ("prompt_ids", "completion_ids")]


@pytest.mark.parametrize("schedule", [{}, REUSE], ids=["once", "reused"])
def test_without_tries_it_is_grpo_to_the_last_bit(policy_folder, tmp_path, schedule):
    one = trained(policy_folder, tmp_path, trainer=GRPOTrainer, beta=0.1, **schedule)
    two = trained(policy_folder, tmp_path, trainer=DynamicSamplingTrainer, resample_tries=0, beta=0.1, **schedule)
    assert_same_run(one, two)


@pytest.mark.parametrize("groups", [[GRADED, GRADED], [EQUAL, EQUAL]], ids=["all teach", "none does"])
def test_where_nothing_is_lacking_or_nothing_is_found_it_is_grpo_to_the_last_bit(policy_folder, tmp_path, groups):
    def rewards(completions, **_):
        return [reward for group in groups for reward in group]

    runs = [
        trained(policy_folder, tmp_path, trainer=trainer, rewards=rewards, resample_tries=2, beta=0.1, max_steps=3)
        for trainer in (GRPOTrainer, DynamicSamplingTrainer)
    ]
    (weights, moments, logged), (other_weights, other_moments, other_logged) = map(state_of, runs)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert all(torch.equal(a, b) for a, b in zip(moments, other_moments, strict=True))
    tokens = ("num_tokens", "num_input_tokens_seen")  # what the tries sampled is counted
    for entry, other in zip(logged, other_logged, strict=True):
        assert {**entry}.items() - other.items() <= {(key, entry.get(key)) for key in tokens}
        assert other["dynamic_sampling/tries"] == (0 if groups[0] is GRADED else 2)


def test_every_group_has_contrast_and_its_rows_belong_together(policy_folder, tmp_path):
    trainer = dynamic(policy_folder, tmp_path, resample_tries=20, per_device_train_batch_size=6 * GROUP, beta=0.1)
    batch = rollout(trainer)
    prompts, completions = texts(batch)
    groups = [prompts[i : i + GROUP] for i in range(0, len(prompts), GROUP)]
    assert len(groups) == 6 and all(len(set(group)) == 1 and int(group[0][0]) % 2 for group in groups)
    assert {"1aa", "3aaaa", "5aaaaaa"} <= set(prompts)  # the groups that taught stay where they are
    assert last(trainer, "without_contrast_sampled") == 0.5 and last(trainer, "without_contrast") == 0
    # An independent reference: rewards of what stands in the rows, and GRPO's advantage of each group.
    rewards = torch.tensor([score(*row) for row in zip(prompts, completions, strict=True)]).view(-1, GROUP)
    expected = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(batch["advantages"], expected.flatten())
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    # The reference model's log-probabilities are those of the rows as they are now.
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width, mask_of_completion = batch["completion_ids"].size(1), batch["completion_mask"]
    with torch.no_grad():
        scored = trainer._get_per_token_logps_and_entropies(trainer.ref_model, ids, mask, width)[0]
    torch.testing.assert_close(scored * mask_of_completion, batch["ref_per_token_logps"] * mask_of_completion)


def test_the_tries_are_bounded_counted_and_sample_only_what_is_lacking(policy_folder, tmp_path):
    trainer = dynamic(policy_folder, tmp_path, rewards=none_teach, resample_tries=3)
    rollout(trainer)
    counted = {name: last(trainer, name) for name in ("tries", "extra_completions", "without_contrast", "reward")}
    assert counted == {"tries": 3, "extra_completions": 3 * 2 * GROUP, "without_contrast": 1, "reward": 1}
    trainer = dynamic(policy_folder, tmp_path, resample_tries=1)
    rollout(trainer)  # of its two groups the one with the odd digit teaches
    assert last(trainer, "tries") == 1 and last(trainer, "extra_completions") == GROUP


def test_an_evaluation_is_not_sampled_anew(policy_folder, tmp_path):
    trainer = dynamic(policy_folder, tmp_path, rewards=none_teach)
    trainer.model.eval()
    trainer._generate_and_score_completions([{"prompt": "2a"}] * GROUP)
    assert not any(name.startswith("dynamic_sampling") for mode in trainer._metrics.values() for name in mode)


def test_the_prompts_in_reserve_come_each_once_and_follow_from_seed_and_step(policy_folder, tmp_path):
    def drawn(step=0, **options):
        trainer = dynamic(policy_folder, tmp_path, **options)
        trainer._step = step
        reserve = trainer._reserve(("prompt",))
        trainer.train_dataset = Dataset.from_dict({"prompt": [str(i) for i in range(10)]})
        return [next(reserve)["prompt"] for _ in range(20)]

    first = drawn()
    assert sorted(first[:10]) == sorted(first[10:]) == [str(i) for i in range(10)]
    assert first == drawn() != drawn(step=8) and first != drawn(seed=1)


@pytest.mark.parametrize(("schedule", "interrupted_at"), [({}, 3), (REUSE, 3), (REUSE, 4)])
def test_an_interrupted_run_ends_as_the_one_that_was_not(policy_folder, tmp_path, schedule, interrupted_at):
    options = {"save_strategy": "steps", "save_steps": 1, "max_steps": 6, "beta": 0.1, "resample_tries": 3} | schedule
    whole = dynamic(policy_folder, tmp_path, **options)
    whole.train()
    assert any(entry.get("dynamic_sampling/tries") for entry in whole.state.log_history)
    resumed = dynamic(policy_folder, tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{interrupted_at}"))
    assert_same_run(whole, resumed)


def test_with_all_parts_the_filter_chooses_from_groups_with_contrast(policy_folder, tmp_path):
    options = TOGETHER | {"token_advantages": DiscountedCredit(0.9), "resample_tries": 8, "beta": 0.1}
    run = make(policy_folder, tmp_path, rewards=odd_teach, **options)
    batch = rollout(run)
    assert len(batch["prompt_ids"]) == 4 and all(int(prompt[0]) % 2 for prompt in texts(batch)[0])
    assert run._metrics["train"]["gfpo/no_contrast_sampled"] == [0.0]
    run.train()
    assert all(value.isfinite().all() for value in run.model.parameters())


def test_what_the_tries_do_not_find_is_left_to_replay(policy_folder, tmp_path):
    run = trained(policy_folder, tmp_path, rewards=odd_teach, resample_tries=1, **REPLAY)
    logged = [entry for entry in run.state.log_history if "loss" in entry]
    assert any(entry["dynamic_sampling/without_contrast"] and entry["replay/rescued"] for entry in logged)


def test_two_ranks_sample_anew_what_one_does(tmp_path):
    """Groups straddle the ranks, and rows travel to the rank whose group they replace."""
    reports = []
    for world_size in (1, 2):
        folder = tmp_path / str(world_size)
        if world_size == 1:
            folder.mkdir()
            saved_tiny_model(folder / "model")
            resampling_rank.main(folder, 1)
        else:
            processes = start(folder, world_size, "resampling_rank.py")
            outputs = [process.communicate(timeout=240)[0] for process in processes]
            assert all(process.returncode == 0 for process in processes), "\n".join(out[-3000:] for out in outputs)
        reports += [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(world_size)]
    one, *two = reports
    assert [report["processes"] for report in reports] == [1, 2, 2]
    assert sum(entry["dynamic_sampling/tries"] for entry in one["metrics"]) > 0
    for found in two:
        assert found["metrics"] == one["metrics"]
        assert found["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=2e-2)
        for rollout_of_two, expected in zip(found["rollouts"], one["rollouts"], strict=True):
            assert rollout_of_two["tokens"] == expected["tokens"]
            rows, others = (
                sorted((row for row in report["rows"] if row["sample"] >= 0), key=lambda row: row["sample"])
                for report in (rollout_of_two, expected)
            )
            for name in ("sample", "prompt", "completion"):
                assert [row[name] for row in rows] == [row[name] for row in others]
            assert [row["advantage"] for row in rows] == pytest.approx([row["advantage"] for row in others], abs=1e-5)
    for report in reports:  # what a reward function logs of a row stays beside it
        prompts, logged = report["columns"]
        assert logged == prompts and len(prompts) > 0


def test_what_excludes_it_is_said_in_the_constructor(policy_folder, tmp_path):
    with pytest.raises(ValueError, match=r"resample_tries=-1 must be at least 0"):
        DynamicSamplingConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, resample_tries=-1)

    def stream():
        yield {"prompt": "1a"}

    args = DynamicSamplingConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, max_steps=1, num_generations=2)
    data = IterableDataset.from_generator(stream)
    with pytest.raises(ValueError, match="which a stream has not"):
        DynamicSamplingTrainer(policy_folder, none_teach, args, data, processing_class=tiny_tokenizer())
