"""Disks that fill up, cannot be written or rot: nothing that was complete is lost, and the same command goes on."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import SFT, comparable, expctl, manifest, metrics, only_run, weights

TRAINING = [*SFT, "args.max_steps=6", "args.save_steps=2"]


@contextmanager
def small_disk(at: Path, megabytes: int):
    """A file system of its own in memory."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """The training without any fault."""
    folder = tmp_path_factory.mktemp("calm")
    assert expctl(*TRAINING, cwd=folder).returncode == 0
    return folder


def assert_finished_as_if_nothing_had_happened(folder: Path, calm: Path) -> None:
    done = expctl(*TRAINING, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert manifest(only_run(folder))["status"] == "completed"
    assert comparable(only_run(folder)) == comparable(only_run(calm))
    assert weights(only_run(folder)) == weights(only_run(calm))


def killed_at(step: int, calm: Path, folder: Path) -> Path:
    """A copy of the calm run as a `kill -9` right after a checkpoint would have left it."""
    shutil.copytree(calm, folder, dirs_exist_ok=True)
    run = only_run(folder)
    for checkpoint in (run / "checkpoints").glob("checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    for file in ("summary.json", ".outcome.json"):
        (run / file).unlink()
    shutil.rmtree(run / "model")
    told = (run / "run.json").read_text()
    (run / "run.json").write_text(told.replace('"status": "completed"', '"status": "running"'))
    return run


@pytest.mark.parametrize("hardware", ["cpu", "cpu_2"])
def test_a_full_disk_stops_the_run_says_so_and_costs_only_what_was_not_saved(hardware, tmp_path, calm):
    """Room for one checkpoint (4 MB) and a half."""
    words = [*TRAINING, f"hardware={hardware}"] if hardware != "cpu" else TRAINING
    with small_disk(tmp_path / "disk", 5) as disk:
        done = expctl(*words, cwd=disk)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "the disk is full" in done.stderr and str(disk) in done.stderr and "checkpoint-2" in done.stderr
        assert "Traceback" not in done.stderr
        run = only_run(disk)
        told = manifest(run)
        assert told["status"] == "failed" and "the disk is full" in told["error"]
        assert [row["step"] for row in metrics(run)] == [1, 2, 3, 4]
        assert (run / "checkpoints" / "checkpoint-2" / "complete.json").exists()
        assert not (run / "checkpoints" / ".writing").exists()
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        if hardware == "cpu":
            assert_finished_as_if_nothing_had_happened(disk, calm)
        else:
            assert expctl(*words, cwd=disk).returncode == 0
        assert manifest(run)["attempts"][1]["from_step"] == 2


def test_a_disk_that_is_full_from_the_start_refuses_and_leaves_nothing(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        with pytest.raises(OSError):
            (disk / "filler").write_bytes(b"x" * (2 << 20))
        done = expctl(*TRAINING, cwd=disk)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "cannot be written" in done.stderr and "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(disk.glob("outputs/*/*"))


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path):
    with small_disk(tmp_path / "disk", 5) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = expctl(*TRAINING, cwd=disk)
        assert done.returncode == 2
        assert "cannot be written" in done.stderr and "Read-only" in done.stderr and str(disk) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_completed_run_is_shown_from_a_folder_that_cannot_be_written(tmp_path, calm):
    with small_disk(tmp_path / "disk", 60) as disk:
        shutil.copytree(calm, disk, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = expctl(*TRAINING, cwd=disk)
        assert done.returncode == 0 and "was completed" in done.stdout


@pytest.mark.parametrize("harm", ["cut short", "other content"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(harm, tmp_path, calm):
    run = killed_at(6, calm, tmp_path / "run")
    file = run / "checkpoints" / "checkpoint-6" / "model.safetensors"
    content = file.read_bytes()
    if harm == "cut short":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.write_bytes(content[:-1000] + bytes(1000))
    done = expctl(*TRAINING, cwd=tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "checkpoint-6 is damaged (model.safetensors" in done.stderr
    assert manifest(run)["attempts"][-1]["from_step"] == 4
    assert comparable(run) == comparable(only_run(calm)) and weights(run) == weights(only_run(calm))


def test_a_line_of_metrics_that_was_cut_in_the_middle_is_written_again(tmp_path, calm):
    run = killed_at(4, calm, tmp_path / "run")
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[:4]) + rows[4][: len(rows[4]) // 2])
    assert_finished_as_if_nothing_had_happened(tmp_path / "run", calm)


def test_without_a_checkpoint_everything_comes_again_and_stands_once(tmp_path, calm):
    run = killed_at(0, calm, tmp_path / "run")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text()[:-30])
    assert_finished_as_if_nothing_had_happened(tmp_path / "run", calm)


def test_a_clock_that_goes_back_changes_nothing(tmp_path, calm):
    """An hour back whenever a process has run for two seconds, in the command and in the worker."""
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "sitecustomize.py").write_text(
        "import time\nright, began = time.time, time.monotonic()\n"
        "time.time = lambda: right() - 3600 * (time.monotonic() - began > 2)\n"
    )
    folder = tmp_path / "run"
    folder.mkdir()
    checked = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time.__name__)"],
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(tmp_path / "wrong")},
    )
    assert checked.stdout.strip() == "<lambda>", "the clock is right: this proves nothing"
    done = expctl(*TRAINING, cwd=folder, forked=False, PYTHONPATH=str(tmp_path / "wrong"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "-" not in "".join(line.split("left")[0].split()[-1] for line in done.stdout.splitlines() if "left" in line)
    assert_finished_as_if_nothing_had_happened(folder, calm)


def test_a_disk_that_fills_up_in_a_sweep_costs_no_cell_that_was_complete(tmp_path):
    """Room for one run (7.5 MB) and a half."""
    words = ["-m", *TRAINING, "seed=0,1", "hydra.launcher.n_jobs=1"]
    with small_disk(tmp_path / "disk", 11) as disk:
        done = expctl(*words, cwd=disk)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "1 completed, 1 failed" in done.stdout and "the disk is full" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        again = expctl(*words, cwd=disk)
        assert again.returncode == 0 and "2 completed" in again.stdout, again.stdout + again.stderr
        attempts = sorted(len(manifest(path.parent)["attempts"]) for path in disk.glob("outputs/*/run.json"))
        assert attempts == [1, 2], "what was complete is not done twice"


def test_a_sweep_into_a_folder_that_cannot_be_written_says_so(tmp_path):
    with small_disk(tmp_path / "disk", 5) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = expctl("-m", *TRAINING, "seed=0,1", cwd=disk)
        assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
        assert "2 failed" in done.stdout and "Read-only" in done.stdout
