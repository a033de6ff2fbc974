"""Several processes are one run: one folder, one config, gradients averaged, and a size that was asked for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import (
    COMMAND,
    GFPO,
    LONG,
    SFT,
    clean_environment,
    expctl,
    forked_workers,
    manifest,
    metrics,
    only_run,
    run,
    runs,
    wait_for,
)
from safetensors.torch import load_file

from expctl.runs.lock import Lock

# Full precision, one epoch's order, no dropout in the model, and no optimizer that divides by gradients, which makes
# the rounding of small ones as large as a step: what remains is the arithmetic of averaging.
SUPERVISED = [*SFT, "args.max_steps=5", "args.optim=sgd", "args.learning_rate=0.5", "args.max_grad_norm=0"]
LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--nproc_per_node", "2"],
    "accelerate": [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "0",
    ],
}


def test_two_ranks_with_half_the_batch_each_give_the_weights_of_one_rank_with_the_whole(tmp_path):
    weights = {}
    for hardware, rows in (("cpu", 8), ("cpu_2", 4)):
        folder = tmp_path / hardware
        folder.mkdir()
        done = expctl(*SUPERVISED, f"hardware={hardware}", f"args.per_device_train_batch_size={rows}", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in metrics(only_run(folder)) if "loss" in row] == [1, 2, 3, 4, 5]
        weights[hardware] = load_file(only_run(folder) / "model" / "model.safetensors")
    started_from = load_file(Path(__file__).parents[2] / "expctl" / "models" / "tiny" / "model.safetensors")
    moved = 0.0
    for name, weight in weights["cpu"].items():
        torch.testing.assert_close(weights["cpu_2"][name], weight, rtol=1e-5, atol=2e-6)
        if name in started_from:
            moved = max(moved, (weight.float() - started_from[name].float()).abs().max().item())
    assert moved > 1e-3, "training changed nothing, so equal weights prove nothing"


def test_two_ranks_share_one_run_directory_and_say_how_they_were_launched(tmp_path):
    done = expctl(*GFPO, "hardware=cpu_2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (only_run(tmp_path) / "accelerate.yaml").exists()
    assert manifest(only_run(tmp_path))["hardware"]["num_processes"] == 2


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_makes_one_group_with_one_run_and_one_config(launcher, tmp_path):
    done = launched(*GFPO, cwd=tmp_path, launcher=launcher)
    assert done.returncode == 0, done.stderr
    told = manifest(only_run(tmp_path))
    assert told["status"] == "completed"
    assert told["hardware"] | {"num_processes": 2, "num_machines": 1} == told["hardware"]
    assert [row["step"] for row in metrics(only_run(tmp_path))] == [1, 2]
    assert done.stdout.count("run  ") == 1


def test_srun_tasks_find_each_other(tmp_path):
    tasks = [
        subprocess.Popen(
            [COMMAND, *GFPO],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(
                **forked_workers(),
                SLURM_STEP_NUM_TASKS="2",
                SLURM_PROCID=str(rank),
                SLURM_LOCALID=str(rank),
                SLURM_STEP_NUM_NODES="1",
                SLURM_STEP_NODELIST="localhost",
                SLURM_JOB_ID=str(os.getpid() % 9000),
                SLURM_STEP_ID="0",
            ),
        )
        for rank in range(2)
    ]
    for task in tasks:
        out, error = task.communicate(timeout=200)
        assert task.returncode == 0, out + error
    assert manifest(only_run(tmp_path))["hardware"]["num_processes"] == 2


def launched(*words, cwd, launcher="torchrun"):
    """A launcher and its two ranks, forked: started ones are killed in test_interruption.py."""
    return run(sys.executable, *LAUNCHERS[launcher], "-m", "expctl", *words, cwd=cwd, **forked_workers())


def test_a_sweep_inside_a_launch_is_refused_with_what_to_type(tmp_path):
    done = launched("-m", "seed=1,2", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("a sweep inside a distributed launch") == 1
    assert "expctl -m seed=1,2 hardware.num_processes=2" in done.stderr
    assert runs(tmp_path) == []


def test_a_size_that_differs_from_what_was_launched_is_an_error(tmp_path):
    done = launched("hardware=cpu", *GFPO, cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("2 processes were launched") == 1
    assert runs(tmp_path) == []


def test_bad_input_to_a_group_is_said_once(tmp_path):
    done = launched("algorithm=gfop", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("no option 'gfop'") == 1
    assert runs(tmp_path) == []


def worker_of(folder, **environment):
    """A worker that no command has started."""
    words = [sys.executable, "-m", "expctl.worker", str(folder)]
    return run(*words, cwd=folder.parents[1], **environment, **forked_workers())


def test_ranks_that_do_not_find_each_other_never_train_alone(tmp_path):
    """A worker that was launched as one of two but joined a group of one stops."""
    done = expctl(*GFPO, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    held = Lock(only_run(tmp_path) / ".lock")
    alone = worker_of(only_run(tmp_path), EXPCTL_WORLD_SIZE="2")
    held.release()
    assert alone.returncode == 1
    assert "2 processes were launched" in (alone.stdout + alone.stderr)


def test_a_rank_of_a_launched_group_that_is_killed_is_named_in_the_manifest(tmp_path):
    """Rank 0 is command and worker at once here, and has no parent that could say it."""
    command = [sys.executable, *LAUNCHERS["torchrun"], "-m", "expctl", *LONG]
    environment = clean_environment(**forked_workers())
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: runs(tmp_path) and (only_run(tmp_path) / "metrics.jsonl").exists())
    signs = [json.loads(file.read_text().splitlines()[0]) for file in (only_run(tmp_path) / ".ranks").glob("rank-1")]
    os.kill(signs[0]["pid"], signal.SIGKILL)
    assert process.wait(timeout=90) == 1
    told = manifest(only_run(tmp_path))
    assert told["status"] == "failed" and f"rank 1 (process {signs[0]['pid']} on " in told["error"]


def test_a_worker_without_a_command_that_holds_its_run_does_not_start(tmp_path):
    """Its command was killed before the worker could ask to hear of it."""
    done = expctl(*GFPO, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    alone = worker_of(only_run(tmp_path))
    assert alone.returncode == 1 and "no command holds" in alone.stderr
