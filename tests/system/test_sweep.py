"""`expctl -m`: each cell goes the way of a single experiment."""

from harness import SFT, expctl, manifest, runs

ONE_STEP = [*SFT, "args.max_steps=1"]


def test_each_cell_of_a_sweep_is_a_run_and_the_same_sweep_again_runs_nothing(tmp_path):
    done = expctl("-m", *ONE_STEP, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [folder.name.split("-")[3] for folder in runs(tmp_path)] == ["s0", "s1"]
    again = expctl("-m", *ONE_STEP, "seed=0,1", cwd=tmp_path)
    assert again.returncode == 0 and "2 completed" in again.stdout and "running" not in again.stdout
    assert all(len(manifest(folder)["attempts"]) == 1 for folder in runs(tmp_path))


def test_a_cell_that_cannot_work_is_refused_and_the_exit_code_says_so(tmp_path):
    done = expctl("check", "-m", "args.num_remains_in_group=4,99", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count("ok  ") == 1 and "num_remains_in_group (99)" in done.stderr
    assert runs(tmp_path) == []
