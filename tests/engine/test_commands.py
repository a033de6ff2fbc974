"""`expctl` with the real vLLM on the CPU: killed and resumed, of two ranks, several runs at once, a server."""

import json
import signal
from pathlib import Path

import pytest
from harness import (
    comparable,
    expctl,
    manifest,
    metrics,
    metrics_reach,
    only_run,
    processes_of,
    runs,
    start,
    wait_for,
)
from padded import make_padded

pytestmark = pytest.mark.timeout(900)

RATIO = "sampling/importance_sampling_ratio/"
DIFFERENCE = "sampling/sampling_logp_difference/max"
NEAR = 0.02


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """Four steps of GFPO, 4 of 8, at a rate that changes what is likely."""
    return [
        "model=local",
        f"model.path={make_padded(tmp_path_factory.mktemp('models') / 'padded')}",
        "hardware=cpu",
        "generation=vllm",
        "args.max_steps=4",
        "args.do_eval=false",
        "args.learning_rate=1e-3",
        "args.lr_scheduler_type=constant",
        "args.num_generations=8",
        "args.num_remains_in_group=4",
        "args.per_device_train_batch_size=16",
        "args.max_completion_length=64",
        "dataset.train_size=64",
        "dataset.eval_size=16",
    ]


def steps_of(run: Path) -> list[dict]:
    """The metrics of each step."""
    return [row for row in metrics(run) if "loss" in row]


def assert_sampled_with_its_own_weights(run: Path, steps: int = 4) -> None:
    rows = steps_of(run)
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert max(row[DIFFERENCE] for row in rows) < NEAR
    assert all(0.9 < row[RATIO + name] < 1.1 for row in rows for name in ("min", "mean", "max"))


def has_reached(folder: Path, step: int) -> bool:
    """Whether the only run of a working folder has logged a step."""
    return bool(list(folder.glob("outputs/*/metrics.jsonl"))) and metrics_reach(only_run(folder), step)


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
