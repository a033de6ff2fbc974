"""A part that is laid over an algorithm never takes the place of a user's own trainer unnoticed."""

import textwrap

from expctl.cli.hydra_app import compose
from expctl.config.check import check

TRAINER = "algorithm.trainer._target_"


def test_a_part_that_would_replace_a_trainer_of_the_users_own_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from expctl.algorithms.composed import ComposedTrainer\n\n\nclass Mine(ComposedTrainer):\n    pass\n"
    )
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "mine.yaml").write_text(
        textwrap.dedent(
            """
            # @package _global_
            # Mine.
            defaults: [grpo, _self_]
            algorithm: {trainer: {_target_: mine.Mine}}
            args: {_target_: expctl.algorithms.composed.ComposedConfig}
            """
        ).lstrip()
    )
    monkeypatch.chdir(tmp_path)
    words = ["algorithm=mine", "algorithm/replay=on", "hardware=cpu"]
    (refusal,) = check(compose(words))
    kept = check(compose([*words, f"{TRAINER}=mine.Mine"]))
    assert "takes the place of mine.Mine" in refusal.what and f"{TRAINER}=mine.Mine" in refusal.do
    assert kept == []


def test_a_part_that_changes_the_training_is_refused_where_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (refusal,) = check(compose(["algorithm=eval", "algorithm/resampling=on", "hardware=cpu"]))
    assert "algorithm=eval trains nothing" in refusal.what and refusal.where.startswith("algorithm/resampling=on")


def test_dynamic_sampling_is_laid_over_what_grpo_is_part_of_with_its_bound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    over_all = compose(["algorithm=gfpo", "algorithm/resampling=on", "algorithm/replay=on", "hardware=cpu"])
    assert check(over_all) == [] and over_all.config["args"]["resample_tries"] == 10
    (refusal,) = check(compose(["algorithm=dynamic_sampling", "args.resample_tries=-1", "hardware=cpu"]))
    assert "resample_tries=-1 must be at least 0" in refusal.what and refusal.where.startswith("args.resample_tries")
    (refusal,) = check(compose(["algorithm=dpo", "algorithm/resampling=on", "hardware=cpu"]))
    assert "sample completions, not with dpo" in refusal.what
