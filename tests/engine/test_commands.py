"""`expctl` with the real vLLM on the CPU: killed and resumed, of two ranks, several runs at once, a server."""

import json
import signal

import pytest
from engine_runs import assert_sampled_with_its_own_weights, has_reached, steps_of
from harness import comparable, expctl, manifest, only_run, processes_of, runs, start, wait_for

pytestmark = pytest.mark.timeout(900)


def test_a_killed_run_leaves_nothing_behind_and_carries_on(words, tmp_path):
    words = [*words, "args.save_steps=1"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    command = start(*words, cwd=killed, forked=True)
    wait_for(lambda: has_reached(killed, 2), seconds=600)
    run = only_run(killed)
    command.send_signal(signal.SIGKILL)
    command.communicate()
    wait_for(lambda: not processes_of(run), seconds=60)

    assert expctl(*words, cwd=killed, timeout=600).returncode == 0
    assert manifest(run)["status"] == "completed"
    assert len(manifest(run)["attempts"]) == 2
    assert_sampled_with_its_own_weights(run)

    assert expctl(*words, cwd=whole, timeout=600).returncode == 0
    # In one process on a CPU the engine draws from torch's own random states, which a checkpoint keeps.
    assert comparable(run) == comparable(only_run(whole))


def test_runs_that_begin_at_the_same_instant_all_end_well(words, tmp_path):
    done = expctl(
        "-m", *words, "args.max_steps=2", "seed=0,1,2,3", "hydra.launcher.n_jobs=4", cwd=tmp_path, timeout=800
    )
    assert done.returncode == 0, done.stderr
    cells = runs(tmp_path)
    assert [manifest(cell)["status"] for cell in cells] == ["completed"] * 4
    for cell in cells:
        assert_sampled_with_its_own_weights(cell, steps=2)
    # Seeds are samples of their own.
    assert len({json.dumps(steps_of(cell)[0]["completions/mean_length"]) for cell in cells}) > 1


def test_two_ranks_have_an_engine_each(words, tmp_path):
    words = [*words, "hardware=cpu_2", "args.per_device_train_batch_size=8"]
    done = expctl(*words, cwd=tmp_path, timeout=800)
    assert done.returncode == 0, done.stderr
    assert_sampled_with_its_own_weights(only_run(tmp_path))
