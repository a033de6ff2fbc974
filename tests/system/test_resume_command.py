"""`expctl resume RUN` carries a run on by its name, from any folder; what is nearly that run is told apart from it."""

import pytest
from harness import expctl, manifest, metrics, only_run, runs

# Tells its own worker to stop after the third step, as long as the file is there.
WATCH = """import os
import signal
from pathlib import Path

from transformers import TrainerCallback


class Watch(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 2 and Path("stop").exists():
            os.kill(os.getpid(), signal.SIGTERM)
"""
MINE = "# @package _global_\n# Mine.\ndefaults: [sft, _self_]\ncallbacks:\n  watch: {_target_: watch.Watch}\n"
WORDS = [
    "--config-dir",
    "groups",
    "algorithm=mine",
    "args.max_steps=6",
    "args.do_eval=false",
    "args.per_device_train_batch_size=4",
]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A working folder with a run that was stopped at step 3, another folder, and the cache that knows of both."""
    top = tmp_path_factory.mktemp("resume")
    work, elsewhere = top / "work", top / "elsewhere"
    (work / "groups" / "algorithm").mkdir(parents=True)
    elsewhere.mkdir()
    (work / "groups" / "algorithm" / "mine.yaml").write_text(MINE)
    (work / "watch.py").write_text(WATCH)
    (work / "stop").touch()
    done = expctl(*WORDS, cwd=work, EXPCTL_CACHE=str(top / "cache"))
    assert done.returncode == 75, done.stdout + done.stderr
    assert manifest(only_run(work))["attempts"][-1]["to_step"] == 3
    return work, elsewhere, {"EXPCTL_CACHE": str(top / "cache")}


def test_a_run_is_refused_with_changed_code_and_carried_on_from_elsewhere_with_its_own(interrupted):
    work, elsewhere, cache = interrupted
    run = only_run(work)
    (work / "stop").unlink()
    (work / "watch.py").write_text(WATCH + "# changed\n")
    refused = expctl("resume", "mine-tiny", cwd=elsewhere, **cache)
    assert refused.returncode == 2 and "watch.py (changed)" in refused.stderr
    assert f"expctl --config-dir {work / 'groups'} algorithm=mine" in refused.stderr
    assert len(manifest(run)["attempts"]) == 1

    (work / "watch.py").write_text((run / "sources" / "watch.py").read_text())
    done = expctl("resume", "mine-tiny", cwd=elsewhere, **cache)
    assert done.returncode == 0, done.stdout + done.stderr
    told = manifest(run)
    assert told["status"] == "completed"
    assert [(one["from_step"], one["to_step"]) for one in told["attempts"]] == [(0, 3), (3, 6)]
    assert [row["step"] for row in metrics(run) if "loss" in row] == [1, 2, 3, 4, 5, 6]

    before = (run / "run.json").read_bytes()
    again = expctl("resume", run.name, cwd=elsewhere, **cache)
    assert again.returncode == 0 and "was completed" in again.stdout
    assert (run / "run.json").read_bytes() == before and runs(elsewhere) == []
