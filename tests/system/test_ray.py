"""Sweeps through a Ray on this machine."""

import os
import signal
from pathlib import Path

from harness import SFT, expctl, manifest, metrics, only_run, runs, start, wait_for

RAY = ["-m", "hydra/launcher=ray", "hardware=cpu"]


def test_cells_become_tasks_that_each_see_a_device_of_their_own(tmp_path):
    devices = ["+hydra.launcher.ray.init.num_gpus=2", "hydra.launcher.ray.remote.num_gpus=1"]
    done = expctl(*RAY, *SFT, "args.max_steps=2", *devices, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [manifest(folder)["status"] for folder in runs(tmp_path)] == ["completed"] * 2
    assert {manifest(folder)["environment"]["CUDA_VISIBLE_DEVICES"] for folder in runs(tmp_path)} == {"0", "1"}


def below(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(entry.name), *below(int(entry.name))]
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
    except OSError:
        return ""


def test_a_ray_that_dies_is_one_message_and_the_same_command_finishes(tmp_path):
    words = [*RAY, *SFT, "args.max_steps=200", "args.per_device_train_batch_size=2"]
    # For how long Ray hopes that its head comes back.
    sweep = start(*words, cwd=tmp_path, RAY_gcs_rpc_server_reconnect_timeout_s="3")
    wait_for(lambda: runs(tmp_path) and (only_run(tmp_path) / "metrics.jsonl").exists())
    for pid in below(sweep.pid):
        if any(name in command_line(pid) for name in ("/raylet/raylet", "/gcs_server", "ray::")):
            os.kill(pid, signal.SIGKILL)
    said, wrong = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, said + wrong
    assert said.count("Ray ended before this cell did") == 2, said  # when it happens, and at the end
    assert "Traceback" not in said + wrong
    again = expctl(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    told = manifest(only_run(tmp_path))
    assert told["status"] == "completed" and len(told["attempts"]) == 2 and told["attempts"][1]["from_step"] > 0


def test_ctrl_c_saves_the_running_cell_and_the_same_command_carries_on(tmp_path):
    words = [*RAY, *SFT, "args.max_steps=600", "args.per_device_train_batch_size=2"]
    sweep = start(*words, cwd=tmp_path, forked=True)
    wait_for(lambda: runs(tmp_path) and (only_run(tmp_path) / "metrics.jsonl").exists())
    sweep.send_signal(signal.SIGINT)
    said, wrong = sweep.communicate(timeout=120)
    assert sweep.returncode == 75, said + wrong
    assert "1 interrupted" in said and "the same command finishes the rest" in said
    assert "Traceback" not in said + wrong
    run = only_run(tmp_path)
    sealed = (run / "checkpoints").glob("checkpoint-*/complete.json")
    saved = max(int(path.parent.name.rpartition("-")[2]) for path in sealed)
    again = expctl(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    told = manifest(run)
    assert [attempt["from_step"] for attempt in told["attempts"]] == [0, saved]
    assert told["attempts"][0]["to_step"] == saved  # no periodic checkpoint: the worker saved when it was told to stop
    assert [row["step"] for row in metrics(run) if "loss" in row] == list(range(1, 601))


def test_fail_fast_is_refused_where_a_scheduler_runs_the_cells(tmp_path):
    done = expctl(*RAY, *SFT, "fail_fast=true", "seed=0,1", cwd=tmp_path)
    assert done.returncode == 2 and "fail_fast is for cells on this machine" in done.stderr
    assert list(tmp_path.iterdir()) == []
