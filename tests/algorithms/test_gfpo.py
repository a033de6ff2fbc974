"""What GFPO keeps and which advantages it gives: equation 2 of the paper, on the stock trainer's own arithmetic."""

import pytest
import torch
from gfpo_trainer import examples, real_rows, scored, varied_reward, weights
from tiny_policy import EOS, scripted_rollout
from trl import GRPOConfig, GRPOTrainer

from expctl.algorithms.difficulty import AdaptiveDifficulty

G = 4


def lengths_of(batch):
    return batch["completion_mask"].sum(1).view(-1, G)


def test_keeping_every_completion_is_grpo_to_the_last_bit(gfpo):
    """Two steps of training, old log-probabilities and a KL term included."""
    args = {"beta": 0.1, "num_iterations": 2, "steps_per_generation": 2, "gradient_accumulation_steps": 2}
    grpo = gfpo(trainer=GRPOTrainer, config=GRPOConfig, max_steps=4, **args)
    grpo.train()
    for keywords in (
        {"num_remains_in_group": G, "group_filter_func": "shortest"},
        {"num_remains_in_group": G},
        {"group_filter_func": "shortest"},
        {"filtered": "mask"},
        {"group_filter_func": AdaptiveDifficulty("shortest", G, G, G, G, 0)},
        {"group_filter_func": AdaptiveDifficulty("shortest", G, G, G, G, 0), "filtered": "mask"},
    ):
        trained = gfpo(max_steps=4, **args, **keywords)
        trained.train()
        for name, value in weights(grpo).items():
            assert torch.equal(value, weights(trained)[name]), (keywords, name)


def test_sampling_untouched_the_hooks_reach_the_parents_generation(gfpo):
    """Also without a scripted rollout: k = G samples what GRPO samples and ends with the same weights."""
    ends = []
    for keywords in ({"trainer": GRPOTrainer, "config": GRPOConfig}, {"num_remains_in_group": G}):
        trained = gfpo(keywords={"rollout_func": None}, **keywords)
        trained.train()
        ends.append(weights(trained))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize("filtered", ["mask", "drop"])
def test_advantages_are_normalised_over_the_kept_and_zero_elsewhere(gfpo, filtered):
    trainer = gfpo(group_filter_func="shortest", num_remains_in_group=2, filtered=filtered)
    batch = scored(trainer)
    if filtered == "mask":
        advantages, lengths = batch["advantages"].view(-1, G), lengths_of(batch)
        for group, group_lengths in zip(advantages, lengths, strict=True):
            kept = sorted(range(G), key=lambda i: (group_lengths[i], i))[:2]
            assert all(group[i] == 0 for i in range(G) if i not in kept)
        kept_advantages = advantages[advantages != 0].view(-1, 2)
    else:
        assert len(batch["advantages"]) == 8
        kept_advantages = batch["advantages"].view(-1, 2)
    assert kept_advantages.sum(1) == pytest.approx(0, abs=1e-6)
    contrast = kept_advantages.ne(0).all(1)
    assert contrast.sum() == 3
    assert kept_advantages[contrast].var(1) == pytest.approx(1, abs=1e-2)


def test_drop_keeps_the_rows_and_advantages_that_mask_marks(gfpo):
    keywords = {"group_filter_func": "token_efficiency", "num_remains_in_group": 3, "beta": 0.1}
    masked, dropped = (scored(gfpo(filtered=filtered, **keywords)) for filtered in ("mask", "drop"))
    rows, left = real_rows(masked), real_rows(dropped)
    assert len(left) == 12
    for row in left:
        whole = rows[int(row["sample_index"])]
        for key in ("prompt_ids", "completion_ids", "advantages"):
            assert torch.equal(row[key], whole[key])
        torch.testing.assert_close(row["ref_per_token_logps"], whole["ref_per_token_logps"])


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, 7.0), (0.5, -2.0)])
def test_advantages_ignore_a_positive_affine_change_of_the_rewards_under_a_length_metric(gfpo, scale, shift):
    def changed(completions, completion_ids, **kwargs):
        return [scale * reward + shift for reward in varied_reward(completions, completion_ids)]

    def advantages(reward):
        keywords = {"reward_funcs": reward}
        return scored(gfpo(group_filter_func="shortest", num_remains_in_group=3, keywords=keywords))["advantages"]

    torch.testing.assert_close(advantages(changed), advantages(varied_reward), atol=2e-3, rtol=1e-3)


def test_changing_a_rejected_completion_changes_nothing_that_is_trained_on(gfpo):
    """Its tokens, its length and its reward; under `mask` the denominator does see it."""

    def longer_last(prompts, trainer):
        rollout = scripted_rollout(prompts, trainer)
        for group in range(0, len(prompts), G):
            longest = max(range(group, group + G), key=lambda i: len(rollout["completion_ids"][i]))
            rollout["completion_ids"][longest] = [4, 5, 4, 5, 4, 5, 4, EOS]
        return rollout

    keywords = {"group_filter_func": "shortest", "num_remains_in_group": 3}
    before, after = (
        scored(gfpo(keywords={"rollout_func": rollout}, **keywords)) for rollout in (scripted_rollout, longer_last)
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    before, after = (
        scored(gfpo(keywords={"rollout_func": rollout}, filtered="mask", **keywords))
        for rollout in (scripted_rollout, longer_last)
    )
    assert torch.equal(before["advantages"], after["advantages"])
    assert before["num_items_in_batch"] < after["num_items_in_batch"]


def test_only_kept_completions_go_through_the_policy_and_the_reference_model(gfpo, monkeypatch):
    scored_shapes = []
    original = GRPOTrainer._get_per_token_logps_and_entropies

    def counting(self, model, input_ids, attention_mask, logits_to_keep, *args, **kwargs):
        scored_shapes.append((len(input_ids), logits_to_keep))
        return original(self, model, input_ids, attention_mask, logits_to_keep, *args, **kwargs)

    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", counting)
    trainer = gfpo(group_filter_func="shortest", num_remains_in_group=2, beta=0.1, num_iterations=2)
    batch = scored(trainer)
    assert scored_shapes == [(8, batch["completion_ids"].size(1))] * 2
    assert batch["completion_ids"].size(1) == int(batch["completion_mask"].sum(1).max())
    assert not batch["old_per_token_logps"].isnan().any()


def test_scores_of_kept_completions_are_those_of_the_whole_batch(gfpo):
    keywords = {"group_filter_func": "shortest", "num_remains_in_group": 2, "beta": 0.1, "num_iterations": 2}
    left, all_rows = scored(gfpo(**keywords)), real_rows(scored(gfpo(filtered="mask", **keywords)))
    for row in real_rows(left):
        for key in ("old_per_token_logps", "ref_per_token_logps"):
            torch.testing.assert_close(row[key], all_rows[int(row["sample_index"])][key])


def test_unscorable_completions_are_kept_last_and_get_no_advantage(gfpo):
    def partly(completions, completion_ids, **kwargs):
        rewards = varied_reward(completions, completion_ids)
        return [None if i % G == 0 or i < G - 1 else reward for i, reward in enumerate(rewards)]

    keywords = {"keywords": {"reward_funcs": partly}, "filtered": "mask"}
    batch = scored(gfpo(group_filter_func="shortest", num_remains_in_group=2, **keywords))
    advantages = batch["advantages"].view(-1, G)
    assert advantages.isfinite().all()
    assert advantages[:, 0].eq(0).all()  # never scored
    assert advantages[0].eq(0).all()  # one scored completion compares with nothing
    assert advantages[1:].ne(0).sum(1).tolist() == [2, 2, 2]


def test_several_weighted_rewards_reach_filter_and_advantages_in_every_aggregation(gfpo):
    def long_is_good(completions, completion_ids, **kwargs):
        return [len(ids) / 10 for ids in completion_ids]

    per_func = {}

    def first(group_completions, group_rewards, group_rewards_per_func, **kwargs):
        per_func.update(group_rewards_per_func, total=group_rewards)
        return group_rewards

    for aggregation in ("sum_then_normalize", "normalize_then_sum"):
        trainer = gfpo(
            group_filter_func=first,
            num_remains_in_group=2,
            reward_weights=[1.0, 0.5],
            multi_objective_aggregation=aggregation,
            keywords={"reward_funcs": [varied_reward, long_is_good]},
        )
        batch = scored(trainer)
        a, b = (torch.tensor(per_func[name]) for name in ("varied_reward", "long_is_good"))
        total = torch.tensor(per_func["total"])
        torch.testing.assert_close(total, a + 0.5 * b)
        top = total.sort(descending=True, stable=True).indices[:, :2].sort().values
        if aggregation == "sum_then_normalize":
            kept = total.gather(1, top)
            expected = (kept - kept.mean(1, keepdim=True)) / (kept.std(1, keepdim=True) + 1e-4)
        else:
            kept = [values.gather(1, top) for values in (a, b)]
            normal = [(x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-4) for x in kept]
            expected = normal[0] + 0.5 * normal[1]
            expected = (expected - expected.mean()) / (expected.std() + 1e-4)
        torch.testing.assert_close(batch["advantages"], expected.flatten())


@pytest.mark.parametrize("scale_rewards", ["group", "batch", "none"])
def test_every_scale_of_rewards_runs_over_the_kept(gfpo, scale_rewards):
    keywords = {"group_filter_func": "shortest", "num_remains_in_group": 2, "scale_rewards": scale_rewards}
    trainer = gfpo(**keywords)
    batch = scored(trainer)
    rewards = torch.tensor(varied_reward(None, [row["completion_ids"].tolist() for row in real_rows(batch)]))
    groups = rewards.view(-1, 2)
    expected = groups - groups.mean(1, keepdim=True)
    if scale_rewards == "group":
        expected = expected / (groups.std(1, keepdim=True) + 1e-4)
    elif scale_rewards == "batch":
        expected = expected / (rewards.std() + 1e-4)
    torch.testing.assert_close(batch["advantages"], expected.flatten())


def test_evaluation_is_not_filtered_whatever_its_number_of_generations(gfpo):
    trainer = gfpo(
        group_filter_func="shortest",
        num_remains_in_group=2,
        num_generations_eval=8,
        eval_strategy="no",
        per_device_eval_batch_size=8,
    )
    trainer.model.eval()
    batch = scored(trainer, examples(trainer)[:8])
    assert len(batch["advantages"]) == 8 and "sample_index" not in batch
    assert not any(name.startswith("gfpo/") for name in trainer._metrics["eval"])
