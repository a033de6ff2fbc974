"""What GFPO takes in and gives out: arguments, refusals, the filter's view, rollouts with tools, metrics."""

import inspect
import math

import pytest
from gfpo_trainer import examples, scored, varied_reward
from tiny_policy import scripted_rollout
from trl import GRPOTrainer

from expctl.algorithms.difficulty import AdaptiveDifficulty
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer

G = 4
CPU = {"use_cpu": True, "bf16": False, "per_device_train_batch_size": 8}
_stock_init = GRPOTrainer.__init__


def test_a_filter_sees_the_completions_of_one_prompt_in_each_group(gfpo):
    """The first GFPO of TRL slid a window by one completion and scored other prompts' completions."""
    seen = []

    def watching(group_completions, group_rewards, group_prompts, group_completion_ids, prompt_number, **kwargs):
        for completions, rewards, prompts, ids, numbers in zip(
            group_completions, group_rewards, group_prompts, group_completion_ids, prompt_number, strict=True
        ):
            assert len(set(prompts)) == len(set(numbers)) == 1
            assert rewards == pytest.approx(varied_reward(completions, ids))
            seen.append(prompts[0])
        return [[0.0] * len(group) for group in group_completions]

    trainer = gfpo(group_filter_func=watching, num_remains_in_group=2)
    inputs = [dict(example, prompt_number=i // G) for i, example in enumerate(examples(trainer))]
    scored(trainer, inputs)
    assert seen == [example["prompt"] for example in inputs[::G]]


def test_the_founding_filter_signature_works_with_and_without_keyword_arguments(gfpo):
    class GroupFilter:
        def __call__(self, group_completions, group_rewards, **kwargs):
            return [[float(i) for i in range(len(completions))] for completions in group_completions]

    def bare(group_completions, group_rewards):
        return [[float(i) for i in range(len(completions))] for completions in group_completions]

    for group_filter in (GroupFilter(), bare):
        batch = scored(gfpo(group_filter_func=group_filter, num_remains_in_group=2))
        assert batch["sample_index"].tolist() == [2, 3, 6, 7, 10, 11, 14, 15]


def with_tools(prompts, trainer):
    """Every second completion carries two tokens of an environment, which makes it the longer one in all but name."""
    rollout = scripted_rollout(prompts, trainer)
    rollout["env_mask"] = [[1] * len(ids) for ids in rollout["completion_ids"]]
    for i in range(0, len(prompts), 2):
        ids = rollout["completion_ids"][i]
        rollout["completion_ids"][i] = ids[:1] + [5, 5] + ids[1:]
        rollout["env_mask"][i] = [1, 0, 0] + [1] * (len(ids) - 1)
    rollout["note"] = [f"note {i}" for i in range(len(prompts))]
    return rollout


def test_tokens_of_tools_count_neither_as_length_nor_in_the_loss(gfpo):
    seen = {}

    def watching(group_completions, group_rewards, group_completion_lengths, **kwargs):
        seen["lengths"] = group_completion_lengths
        return [[-float(n) for n in lengths] for lengths in group_completion_lengths]

    keywords = {"keywords": {"rollout_func": with_tools}}
    batch = scored(gfpo(group_filter_func=watching, num_remains_in_group=2, **keywords))
    plain = scored(gfpo(group_filter_func=watching, num_remains_in_group=2))
    assert batch["sample_index"].tolist() == plain["sample_index"].tolist()
    mask = batch["completion_mask"] * batch["tool_mask"]
    assert mask.sum() == plain["completion_mask"].sum() == batch["num_items_in_batch"]
    assert batch["completion_mask"].sum() > mask.sum()


def test_fields_of_a_rollout_reach_rewards_and_filter(gfpo):
    def rewarding(completions, completion_ids, note, **kwargs):
        assert note == [f"note {i}" for i in range(len(completions))]
        return varied_reward(completions, completion_ids)

    def watching(group_completions, group_rewards, note, **kwargs):
        assert note == [[f"note {G * g + i}" for i in range(G)] for g in range(len(group_completions))]
        return group_rewards

    keywords = {"rollout_func": with_tools, "reward_funcs": rewarding}
    assert len(scored(gfpo(group_filter_func=watching, num_remains_in_group=2, keywords=keywords))["advantages"]) == 8


def test_rewards_are_computed_once_and_the_examples_are_left_alone(gfpo):
    calls = []

    def counted(completions, completion_ids, **kwargs):
        calls.append(len(completions))
        return varied_reward(completions, completion_ids)

    trainer = gfpo(group_filter_func="shortest", num_remains_in_group=2, keywords={"reward_funcs": counted})
    inputs = examples(trainer)
    scored(trainer, inputs)
    assert calls == [16]
    assert inputs == examples(trainer)


def test_a_subclass_that_reshapes_rewards_is_seen_by_filter_and_advantages(gfpo):
    class Reshaped(GFPOTrainer):
        def _calculate_rewards(self, *args):
            return super()._calculate_rewards(*args) * -1

    seen = []

    def watching(group_completions, group_rewards, group_completion_ids, **kwargs):
        seen.extend(zip(group_rewards, group_completion_ids, strict=True))
        return group_rewards

    batch = scored(gfpo(trainer=Reshaped, group_filter_func=watching, num_remains_in_group=2))
    for rewards, ids in seen:
        assert rewards == pytest.approx([-reward for reward in varied_reward(None, ids)])
    best = [max(range(G), key=lambda i: rewards[i]) + G * g for g, (rewards, _) in enumerate(seen)]
    for index, advantage in zip(batch["sample_index"].tolist(), batch["advantages"].tolist(), strict=True):
        assert (advantage >= 0) == (index in best) or advantage == 0


def test_every_argument_of_the_stock_trainer_passes_through(monkeypatch, tmp_path):
    received = {}
    monkeypatch.setattr(GRPOTrainer, "__init__", lambda self, *args, **kwargs: received.update(args=args, **kwargs))
    names = [name for name in inspect.signature(inspect.unwrap(_stock_init)).parameters if name != "self"]
    given = {name: object() for name in names} | {"args": GFPOConfig(output_dir=str(tmp_path), **CPU)}
    GFPOTrainer(**given, group_filter_func="shortest")
    positional = dict(zip(names, received.pop("args"), strict=False))
    assert positional | received == given


@pytest.mark.parametrize("k", [1, 0, 9, -2])
def test_a_k_outside_two_to_g_is_refused_by_name(tmp_path, k):
    with pytest.raises(ValueError, match=rf"num_remains_in_group \({k}\) must be between 2 and num_generations \(8\)"):
        GFPOConfig(output_dir=str(tmp_path), num_remains_in_group=k, **CPU)


def test_configurations_that_cannot_work_are_refused_before_anything_is_loaded(tmp_path):
    def build(filter_, **args):
        config = GFPOConfig(output_dir=str(tmp_path), **CPU, **args)
        GFPOTrainer("/no/such/model", args=config, group_filter_func=filter_)

    with pytest.raises(ValueError, match="filtered must be 'drop' or 'mask', not 'keep'"):
        build("shortest", num_remains_in_group=2, filtered="keep")
    with pytest.raises(ValueError, match="keeps 2 of 8 completions, but nothing says which"):
        build(None, num_remains_in_group=2)
    with pytest.raises(ValueError, match="decides how many completions are kept: set num_remains_in_group=null"):
        build("adaptive_difficulty", num_remains_in_group=2)
    with pytest.raises(ValueError, match="Did you mean 'shortest'"):
        build("shortes", num_remains_in_group=2)
    with pytest.raises(ValueError, match="very_hard=9 completions, but num_generations is 8"):
        build(AdaptiveDifficulty(very_hard=9))


@pytest.mark.parametrize("scores", [[[0.0] * G], [[0.0] * 2] * 4, [[0.0] * G] * 5])
def test_a_filter_that_returns_the_wrong_number_of_scores_is_told_so(gfpo, scores):
    trainer = gfpo(group_filter_func=lambda *args, **kwargs: scores, num_remains_in_group=2)
    with pytest.raises(ValueError, match="must return 4 lists of 4 scores"):
        scored(trainer)


def test_metrics_tell_sampled_from_kept_and_stock_names_keep_their_meaning(gfpo):
    def zero_or_one(completions, completion_ids, **kwargs):
        """Per group: 1 1 0 0, then 1 1 1 1, then 0 0 0 0, then 0 0 0 1."""
        return [1.0, 1.0, 0.0, 0.0] + [1.0] * 4 + [0.0] * 4 + [0.0] * 3 + [1.0]

    def first_two(group_completions, group_rewards):
        return [[1.0, 1.0, 0.0, 0.0]] * len(group_completions)

    keywords = {"reward_funcs": zero_or_one}
    trainer = gfpo(group_filter_func=first_two, num_remains_in_group=2, log_completions=True, keywords=keywords)
    batch = scored(trainer)
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert metrics["gfpo/sampled_reward"] == metrics["reward"] == metrics["rewards/zero_or_one/mean"] == 7 / 16
    assert metrics["gfpo/kept_reward"] == 4 / 8
    assert metrics["gfpo/correct_rejected"] == pytest.approx(3 / 7)
    assert (metrics["gfpo/no_contrast_sampled"], metrics["gfpo/no_contrast_kept"]) == (0.5, 1.0)
    assert metrics["gfpo/num_remains"] == 2
    assert metrics["gfpo/sampled_length"] == pytest.approx(metrics["completions/mean_length"])
    assert metrics["gfpo/kept_length"] == pytest.approx(batch["completion_mask"].sum().item() / 8)
    assert list(trainer._logs["rewards"]["zero_or_one"]) == zero_or_one(None, None)
    assert list(trainer._logs["extra"]["kept"]) == [True, True, False, False] * 4
    assert not any(math.isnan(value) for value in metrics.values())
