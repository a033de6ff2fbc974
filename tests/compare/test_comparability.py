"""What was not measured alike is refused by name; what only surrounds the runs is warned of."""

import pytest
from synthetic import DATA, DEVICES, GFPO, VERSIONS, run, two_algorithms

from expctl.base.refusal import Refusal
from expctl.compare.conclusion import compare_runs

OTHER_EVAL = DATA | {"eval": {"rows": 64, "columns": ["prompt"], "fingerprint": "cccc", "of": "all rows"}}
SHORT = {"reward.functions.short._target_": "expctl.rewards.length.short"}


def pair(tmp_path, first=None, second=None, after=(0.5, 0.6), seeds=range(3)):
    """Two groups by `args.beta`; `first` and `second` are further arguments of their runs."""
    second = {"config": {}} | (second or {})
    second["config"] = second["config"] | {"args.beta": 0.1}
    return [
        run(tmp_path, seed, value if isinstance(value, dict) else value + seed / 100, **kind)
        for value, kind in zip(after, (first or {}, second), strict=True)
        for seed in seeds
    ]


def test_other_evaluation_data_are_refused_with_both_and_a_filter(tmp_path):
    folders = pair(tmp_path, {"choices": {"dataset": "a"}}, {"data": OTHER_EVAL, "choices": {"dataset": "b"}})
    with pytest.raises(Refusal) as refused:
        compare_runs(folders)
    assert "other data" in refused.value.what and "512 rows (bbbb)" in refused.value.what
    assert "64 rows (cccc)" in refused.value.what and "dataset=a" in refused.value.do


def test_where_the_rows_were_not_recorded_the_settings_of_the_dataset_decide(tmp_path):
    with pytest.raises(Refusal, match="eval_size=64"):
        compare_runs(pair(tmp_path / "a", {"data": None}, {"data": None, "config": {"dataset.eval_size": 64}}))
    alike = pair(tmp_path / "b", {"data": None}, {"data": None, "config": {"dataset.train_size": 64}})
    assert any("not recorded in 6 of the runs" in warning for warning in compare_runs(alike).warnings)


def test_data_that_go_with_the_seed_are_alike_where_each_seed_has_the_same(tmp_path):
    def of(seed):
        return DATA | {"eval": DATA["eval"] | {"fingerprint": f"e{seed}"}}

    first = [run(tmp_path, seed, 0.5, data=of(seed)) for seed in range(3)]
    second = [run(tmp_path, seed, 0.6, data=of(seed), config={"args.beta": 0.1}) for seed in range(3)]
    assert compare_runs([*first, *second]).metric("eval_reward")
    other = [run(tmp_path, seed, 0.6, data=of(seed + 1), config={"args.beta": 0.2}) for seed in range(3)]
    with pytest.raises(Refusal, match="other data"):
        compare_runs([*first, *other])


def test_rows_of_another_kind_are_compared_by_the_completions_of_the_same_prompts_and_by_nothing_else(tmp_path):
    dpo = {"data": OTHER_EVAL | {"prompts": DATA["eval"]}, "config": {"dataset.kind": "preference"}}
    both = {"eval_reward": 0.5, "eval_completions/mean_length": 9.0, "eval_entropy": 0.2}
    folders = pair(tmp_path, {"config": {"dataset.kind": "prompt-only"}}, dpo, after=(both, both))
    comparison = compare_runs(folders)
    assert {"eval_reward", "eval_completions/mean_length"} <= {metric.name for metric in comparison.metrics}
    with pytest.raises(Refusal, match="eval_entropy: only the prompts that were sampled for are the same"):
        compare_runs(folders, asked=["entropy"])
    dpo["data"] = dpo["data"] | {"prompts": OTHER_EVAL["eval"]}
    with pytest.raises(Refusal, match="other data"):
        compare_runs(pair(tmp_path / "other", None, dpo))


def test_a_reward_of_other_functions_is_refused_and_their_common_part_is_compared(tmp_path):
    both = {"eval_reward": 0.5, "eval_rewards/accuracy/mean": 0.5}
    folders = pair(tmp_path, after=(both, both | {"eval_rewards/short/mean": 0.1}), second={"config": SHORT})
    comparison = compare_runs(folders)
    assert comparison.metric("eval_reward") is None and comparison.metric("eval_rewards/accuracy/mean")
    assert comparison.refusals == ["eval_reward: rewards differ, beta=0: accuracy; beta=0.1: accuracy + short"]
    with pytest.raises(Refusal, match="not measured alike"):
        compare_runs(folders, asked=["eval_reward"])


def test_a_reward_function_whose_code_was_changed_is_another(tmp_path):
    mine = {"reward.functions.mine._target_": "my_rewards.mine"}
    after = {"eval_reward": 0.5, "eval_rewards/mine/mean": 0.5}
    for name, file, refused in (("a", "my_rewards.py", True), ("b", "my_trainer.py", False)):
        kinds = [{"config": mine, "sources": {file: digest * 64}} for digest in "ab"]
        folders = pair(tmp_path / name, *kinds, after=(after, after))
        if refused:
            with pytest.raises(Refusal, match="not measured alike"):
                compare_runs(folders)
        else:
            assert compare_runs(folders).metric("eval_reward")


def test_losses_of_other_algorithms_are_not_compared(tmp_path):
    after = {"eval_loss": 0.1, "eval_mean_token_accuracy": 0.9}
    folders = two_algorithms(tmp_path, [after] * 3, [after] * 3)
    comparison = compare_runs(folders)
    assert comparison.metric("eval_loss") is None and comparison.metric("eval_mean_token_accuracy")
    assert "algorithm.trainer._target_" in comparison.refusals[0]
    assert GFPO["algorithm.trainer._target_"]


def test_groups_without_a_common_metric_are_refused_with_what_each_has(tmp_path):
    folders = pair(tmp_path, after=({"eval_a": 1.0}, {"eval_b": 1.0}))
    for folder in folders:
        (folder / "summary.json").write_text((folder / "summary.json").read_text().replace('"training"', '"other"'))
    with pytest.raises(Refusal) as refused:
        compare_runs(folders)
    assert "no metric in common" in refused.value.what and "eval_a" in refused.value.where


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": VERSIONS | {"trl": "1.17.0"}}, "trl differ between the groups: 1.16.0 (beta=0), 1.17.0"),
        ({"devices": DEVICES | {"gpus": ["H100"]}}, "GPUs differ between the groups: none (beta=0), H100 (beta=0.1)"),
        ({"devices": DEVICES | {"cpu": "Other"}}, "processor differ between the groups: Processor (beta=0)"),
        ({"config": {"hardware.bf16": True, "args.bf16": True}}, "hardware.bf16 differ between the groups: False"),
        ({"data": DATA | {"train": DATA["train"] | {"fingerprint": "dddd"}}}, "training data differ between"),
        ({"config": {"args.temperature": 0.7}}, "held-out completions were sampled otherwise"),
        ({"summary": {"steps": 2}}, "steps differ between the groups: 4 (beta=0), 2 (beta=0.1)"),
        ({"warnings": ["TRL moved"]}, "TRL moved"),
        ({"data_changed": ["carried on with other data"]}, "carried on with other data"),
    ],
)
def test_what_surrounds_the_groups_and_differs_is_warned_of(tmp_path, change, said):
    assert compare_runs(pair(tmp_path / "same")).warnings == []
    typed = {"typed": ("args.beta=0.1",)}
    assert any(said in warning for warning in compare_runs(pair(tmp_path, typed, typed | change)).warnings)


def test_versions_that_differ_within_a_group_are_counted(tmp_path):
    folders = [run(tmp_path, seed, versions=VERSIONS | {"torch": f"2.{seed // 2}"}) for seed in range(3)]
    assert compare_runs(folders).warnings == ["torch differ: 2.0 (2 of 3 runs), 2.1 (1 of 3 runs)"]
