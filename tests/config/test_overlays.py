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
