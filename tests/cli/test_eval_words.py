"""`expctl eval RUN`: where the run lies, and whether what it names may be executed."""

import shutil

import pytest
from fabricated import completed

from expctl.base.refusal import Refusal
from expctl.cli.eval import evaluation_words
from expctl.cli.hydra_app import compose


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def received(work, *words):
    """A run of these words as somebody sends it: by another user, and not below our outputs."""
    run = completed(*words)
    run.seal.unlink(missing_ok=True)
    folder = work / "received" / run.run_id
    folder.parent.mkdir()
    shutil.move(run.folder, folder)
    return folder.relative_to(work)


def test_a_run_is_evaluated_wherever_it_lies(work):
    folder = received(work, "algorithm=grpo")
    words = evaluation_words([str(folder)])
    assert words[0] == "algorithm=eval" and words[-1] == f"model=run:{folder}"
    assert compose(words).config["model"]["path"] == str(folder / "model")
    # One of our own with the same id is another run.
    own = completed("algorithm=grpo")
    assert evaluation_words([own.run_id])[-1] == f"model=run:{own.run_id}"
    assert evaluation_words([str(folder)])[-1] == f"model=run:{folder}"


def test_the_rewards_of_a_run_that_somebody_sent_are_executed_only_if_it_is_trusted(work):
    folder = received(work, "algorithm=grpo", "reward.functions.accuracy._target_=expctl.rewards.number.number")
    with pytest.raises(Refusal, match="was not made here by you") as refused:
        evaluation_words([str(folder)])
    assert "eval executes its code" in refused.value.what and "--trust" in refused.value.do
    # Rewards that are typed, or those of a dataset that is, are not the run's.
    for typed in ("reward=number", "dataset=arithmetic"):
        assert typed in evaluation_words([str(folder), typed])
    taken = "reward.functions.accuracy._target_=expctl.rewards.number.number"
    assert taken in evaluation_words([str(folder), "--trust"])
    assert taken in evaluation_words([str(folder)]), "it is not asked about again"


def test_a_sweep_is_read_by_hydra_wherever_its_flag_was_typed(work):
    from hydra._internal.utils import get_args_parser

    run = completed("algorithm=grpo")
    for typed in (
        ["-m", run.run_id, "dataset.eval_size=8"],
        [run.run_id, "-m", "args.temperature=0,1"],
        ["tiny", "-m"],
    ):
        read = get_args_parser().parse_args(evaluation_words(typed))
        assert read.multirun and "algorithm=eval" in read.overrides
        assert {word for word in typed if "=" in word} <= set(read.overrides)
