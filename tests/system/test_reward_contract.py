"""What the rewards of a whole run are told, and what happens to what they return."""

import pytest

from tests.harness import GFPO, expctl, metrics, only_run

SHORT = [*GFPO, "args.do_eval=true", "args.eval_strategy=steps", "args.eval_steps=1", "dataset.eval_size=16"]
REWARDS = """
def ended(completions, truncated, **columns):
    return [float(not cut) for cut in truncated]
"""


def test_what_is_cut_off_earns_nothing_in_training_and_evaluation(tmp_path):
    """Two rewards that pay every completion but those: the user's own, and one that takes any text for an answer."""
    (tmp_path / "mine.py").write_text(REWARDS)
    form = ["reward.functions.form._target_=expctl.rewards.answer_format.one_answer",
            "reward.functions.form.pattern='(?s).+'"]  # fmt: skip
    done = expctl(
        *SHORT, "args.max_completion_length=20", "reward.functions.ended._target_=mine.ended", *form, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    shares = [
        (row[f"{part}completions/clipped_ratio"], row[f"{part}rewards/ended/mean"], row[f"{part}rewards/form/mean"])
        for row in metrics(only_run(tmp_path))
        for part in ("", "eval_")
        if f"{part}reward" in row
    ]
    assert len(shares) >= 4 and any(0 < share < 1 for share, *_ in shares)
    for share, ended, form in shares:
        assert ended == form == pytest.approx(1 - share)
