"""`expctl -m`: all cells are checked first, run side by side, and none is done twice."""

import json
import signal

import pytest
from harness import (
    LONG,
    SFT,
    comparable,
    expctl,
    manifest,
    metrics,
    metrics_reach,
    only_run,
    runs,
    start,
    wait_for,
    weights,
)

ONE_STEP = [*SFT, "args.max_steps=1"]


def ledger(folder):
    (path,) = (folder / "outputs" / "sweeps").glob("*.json")
    return json.loads(path.read_text())


def test_each_cell_of_a_sweep_is_a_run_and_the_same_sweep_again_runs_nothing(tmp_path):
    done = expctl("-m", *ONE_STEP, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [folder.name.split("-")[3] for folder in runs(tmp_path)] == ["s0", "s1"]
    told = ledger(tmp_path)
    assert [cell["status"] for cell in told["cells"]] == ["completed"] * 2 and told["ended"]
    assert {cell["run_id"] for cell in told["cells"]} == {folder.name for folder in runs(tmp_path)}
    again = expctl("-m", *ONE_STEP, "seed=0,1", cwd=tmp_path)
    assert again.returncode == 0 and "2 completed" in again.stdout and "running" not in again.stdout
    assert all(len(manifest(folder)["attempts"]) == 1 for folder in runs(tmp_path))
    # A grid that grows keeps what is done; a cell of a sweep is the run of the single command.
    grown = expctl("-m", *ONE_STEP, "seed=1,2", cwd=tmp_path)
    assert grown.returncode == 0 and "completed   seed=2" in grown.stdout and "seed=0" not in grown.stdout
    single = expctl(*ONE_STEP, "seed=2", cwd=tmp_path)
    assert "was completed" in single.stdout


def test_a_sweep_with_a_cell_that_cannot_work_is_refused_whole_and_creates_nothing(tmp_path):
    words = ["args.num_remains_in_group=4,99", "seed=0,1"]
    for verb in ([], ["check"]):
        done = expctl(*verb, "-m", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert "2 of 4 cells cannot be started, so none is" in done.stderr
        assert done.stderr.count("num_remains_in_group (99)") == 1, "the same refusal is said once"
        assert "args.num_remains_in_group=99 seed=0; args.num_remains_in_group=99 seed=1" in done.stderr
        assert not (tmp_path / "outputs").exists()
    assert done.stdout.count("ok  ") == 2


def test_a_cell_whose_words_do_not_compose_is_one_of_the_table(tmp_path):
    done = expctl("-m", "algorithm=gfpo,gfop", "seed=0", cwd=tmp_path)
    assert done.returncode == 2 and "1 of 2 cells" in done.stderr
    assert "no option 'gfop'" in done.stderr and "algorithm=gfop" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("hydra/launcher=basic", "hydra/launcher=pool hydra.launcher.n_jobs=1"),
        ("hydra/launcher=joblib", "hydra/launcher=pool"),
        ("hydra/launcher=submitit_local", "hydra/launcher=pool"),
        ("hydra/launcher=submitit_slurm", "hydra/launcher=slurm"),
        ("hydra/launcher=ray_aws", "hydra/launcher=ray"),
        ("hydra/sweeper=basic", "hydra/sweeper=grid"),
        ("hydra/sweeper=optuna", "sweep=optuna"),
    ],
)
def test_a_launcher_or_sweeper_that_passes_over_the_checks_is_refused_by_name(word, instead, tmp_path):
    for verb in ([], ["check"]):
        done = expctl(*verb, "-m", word, *ONE_STEP, "seed=0,1", cwd=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert f"{word} (command line)" in done.stderr and f"do       {instead}\n" in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_hydras_own_word_for_a_sweep_is_one_and_checking_it_runs_nothing(tmp_path):
    done = expctl("check", "hydra.mode=MULTIRUN", *ONE_STEP, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("ok  ") == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_forked_worker_trains_to_the_same_bit_as_one_that_was_started(tmp_path):
    forked, started = tmp_path / "forked", tmp_path / "started"
    # The worker without a preloading process is a forked one of the tests: test_determinism.py has its equal started.
    for folder, preload in ((forked, True), (started, False)):
        folder.mkdir()
        words = ["-m", *SFT, "seed=3", f"hydra.launcher.preload={str(preload).lower()}"]
        done = expctl(*words, cwd=folder, forked=not preload)
        assert done.returncode == 0, done.stdout + done.stderr
    assert comparable(only_run(forked)) == comparable(only_run(started))
    assert weights(only_run(forked)) == weights(only_run(started))


def test_a_cell_that_fails_is_listed_with_its_log_and_the_others_go_on(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from transformers import TrainerCallback\n\n\nclass Boom(TrainerCallback):\n"
        "    def on_step_end(self, args, state, control, **kwargs):\n"
        "        if args.seed == 1:\n            raise KeyError('lost')\n"
    )
    words = ["-m", *ONE_STEP, "callbacks.boom._target_=mine.Boom", "seed=0,1,2"]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert "failed     seed=1: KeyError: 'lost'" in done.stdout and "worker.log" in done.stdout
    assert "2 completed, 1 failed" in done.stdout and "the same command finishes the rest" in done.stdout
    assert [cell["status"] for cell in ledger(tmp_path)["cells"]] == ["completed", "failed", "completed"]
    fast = expctl(*words, "fail_fast=true", "hydra.launcher.n_jobs=1", "seed=1,3", cwd=tmp_path)
    assert fast.returncode == 1 and "1 failed, 1 interrupted" in fast.stdout


def test_ctrl_c_saves_every_running_cell_and_the_same_command_carries_on(tmp_path):
    process = start("-m", *LONG, "seed=0,1,2", cwd=tmp_path, forked=True)
    wait_for(lambda: sum((folder / "metrics.jsonl").exists() for folder in runs(tmp_path)) == 2)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75, out + error
    assert "3 interrupted" in out
    steps = {folder.name: manifest(folder)["attempts"][0]["to_step"] for folder in runs(tmp_path)}
    assert len(steps) == 2 and all(manifest(folder)["status"] == "interrupted" for folder in runs(tmp_path))
    again = start("-m", *LONG, "seed=0,1,2", cwd=tmp_path, forked=True)
    wait_for(lambda: all(metrics_reach(folder, steps[folder.name] + 2) for folder in runs(tmp_path)))
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=120)
    for folder in runs(tmp_path):
        logged = [row["step"] for row in metrics(folder)]
        assert logged == list(range(1, len(logged) + 1))


def test_two_sweeps_over_the_same_cells_at_once_do_each_cell_once(tmp_path):
    both = [start("-m", *SFT, "seed=0,1,2,3", cwd=tmp_path, forked=True) for _ in range(2)]
    for process in both:
        out, error = process.communicate(timeout=240)
        assert process.returncode == 0 and "4 completed" in out, out + error
    assert [len(manifest(folder)["attempts"]) for folder in runs(tmp_path)] == [1] * 4


def test_a_sweep_that_is_killed_leaves_a_ledger_and_runs_that_the_same_command_finishes(tmp_path):
    words = ["-m", *LONG, "args.max_steps=60", "args.save_steps=10", "seed=0,1,2"]
    process = start(*words, cwd=tmp_path)
    wait_for(lambda: any((folder / "checkpoints" / "checkpoint-10").is_dir() for folder in runs(tmp_path)))
    process.kill()
    process.wait()
    (path,) = (tmp_path / "outputs" / "sweeps").glob("*.json")
    path.write_text(path.read_text()[: len(path.read_text()) // 2])
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [cell["status"] for cell in ledger(tmp_path)["cells"]] == ["completed"] * 3
    for folder in runs(tmp_path):
        assert [row["step"] for row in metrics(folder)] == list(range(1, 61))
