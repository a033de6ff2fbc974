"""Stages that were killed at any of them end as undisturbed ones do."""

import os
import signal

import pytest
from harness import SFT, alive, expctl, manifest, metrics_reach, processes_of, runs, start, wait_for, weights

FILE = f"""
first: {" ".join(SFT)} args.max_steps=30 args.save_steps=5
second: {" ".join(SFT)} args.max_steps=40 args.save_steps=5 args.learning_rate=1e-4 peft=lora
third: {" ".join(SFT)} args.max_steps=4 model=run:second@last
"""


def work(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp(name)
    (folder / "stages.yaml").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = work(tmp_path_factory, "undisturbed")
    done = expctl("stages", "stages.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def by_steps(folder):
    return {manifest(run)["attempts"][-1]["to_step"]: run for run in runs(folder)}


def test_each_stage_is_a_run_that_starts_from_the_one_before(undisturbed):
    first, second, third = (by_steps(undisturbed)[steps] for steps in (30, 40, 4))
    lines = [manifest(run).get("lineage", {}).get("run_id") for run in (first, second, third)]
    assert lines == [None, first.name, second.name]
    assert manifest(third)["lineage"]["which"] == "last"
    again = expctl("stages", "stages.yaml", cwd=undisturbed)
    assert again.returncode == 0 and again.stdout.count("completed") >= 3 and len(runs(undisturbed)) == 3


def test_killed_at_the_first_and_at_the_second_stage_it_ends_the_same(undisturbed, tmp_path_factory):
    folder = work(tmp_path_factory, "killed")
    for begun in (1, 2):
        process = start("stages", "stages.yaml", cwd=folder, forked=True)
        wait_for(lambda begun=begun: len(runs(folder)) == begun and _is_at(folder, 12))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        wait_for(lambda: not any(alive(pid) for run in runs(folder) for pid in processes_of(run)))
    done = expctl("stages", "stages.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run.name for run in runs(folder)] == [run.name for run in runs(undisturbed)]
    for run, other in zip(runs(folder), runs(undisturbed), strict=True):
        assert weights(run) == weights(other)
    assert sorted(len(manifest(run)["attempts"]) for run in runs(folder)) == [1, 2, 2]


def _is_at(folder, step) -> bool:
    """Whether as many runs are there and the one that is under way has logged a step."""
    under_way = [run for run in runs(folder) if manifest(run)["status"] == "running"]
    return len(under_way) == 1 and (under_way[0] / "metrics.jsonl").exists() and metrics_reach(under_way[0], step)
