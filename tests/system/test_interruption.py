"""A run that is stopped or killed says so, and the same command finishes it."""

import os
import signal
import subprocess

import pytest
from harness import alive, expctl, manifest, metrics, only_run, processes_of, runs, start, wait_for

LONG = ["algorithm=sft", "args.max_steps=2000", "args.do_eval=false", "args.per_device_train_batch_size=2",
        "args.save_steps=20"]  # fmt: skip


def begun(folder, steps=3):
    """Whether a run has logged its first steps."""
    return lambda: runs(folder) and (only_run(folder) / "metrics.jsonl").exists() and len(rows(folder)) >= steps


def rows(folder):
    return (only_run(folder) / "metrics.jsonl").read_text().splitlines()


@pytest.mark.parametrize("hardware", ["cpu", "cpu_2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_exits_75_and_the_same_command_carries_on(number, hardware, tmp_path):
    if (hardware, number) == ("cpu_2", signal.SIGUSR1):
        number = signal.SIGUSR2
    process = start(*LONG, f"hardware={hardware}", cwd=tmp_path)
    wait_for(begun(tmp_path))
    process.send_signal(number)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75, out + error
    assert "the same command carries on" in error
    run = only_run(tmp_path)
    told = manifest(run)
    assert told["status"] == "interrupted"
    assert told["attempts"][0]["signal"] == signal.Signals(number).name
    stopped_at = told["attempts"][0]["to_step"]
    assert (run / "checkpoints" / f"checkpoint-{stopped_at}").is_dir()

    process = start(*LONG, f"hardware={hardware}", cwd=tmp_path)
    wait_for(lambda: metrics_reach(run, stopped_at + 3))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    told = manifest(run)
    assert told["attempts"][1]["from_step"] == stopped_at
    steps = [row["step"] for row in metrics(run) if "loss" in row]
    assert steps == list(range(1, len(steps) + 1))


def metrics_reach(run, step):
    try:
        return metrics(run)[-1]["step"] >= step
    except ValueError:
        return False  # a line that is being written


@pytest.mark.parametrize("hardware", ["cpu", "cpu_2"])
def test_no_process_outlives_a_parent_that_is_killed(hardware, tmp_path):
    process = start(*LONG, f"hardware={hardware}", cwd=tmp_path)
    wait_for(begun(tmp_path))
    run = only_run(tmp_path)
    assert processes_of(run)
    process.kill()
    process.wait()
    wait_for(lambda: not processes_of(run))


def test_a_killed_worker_is_a_failure_with_its_log_and_the_same_command_finishes(tmp_path):
    words = [word.replace("2000", "60") for word in LONG]
    process = start(*words, cwd=tmp_path)
    wait_for(begun(tmp_path, steps=25))
    run = only_run(tmp_path)
    worker = next(pid for pid in processes_of(run) if pid != process.pid)
    os.kill(worker, signal.SIGKILL)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "SIGKILL" in error and "worker.log" in error
    assert manifest(run)["status"] == "failed"
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = manifest(run)
    assert told["status"] == "completed" and told["attempts"][1]["from_step"] == 20
    assert [row["step"] for row in metrics(run) if "loss" in row] == list(range(1, 61))


def test_a_rank_that_dies_takes_the_group_down_with_it(tmp_path):
    process = start(*LONG, "hardware=cpu_2", cwd=tmp_path)
    wait_for(begun(tmp_path))
    run = only_run(tmp_path)
    ranks = [
        pid for pid in processes_of(run) if b"expctl.worker" in command_line(pid) and b"launch" not in command_line(pid)
    ]
    os.kill(max(ranks), signal.SIGKILL)
    _, error = process.communicate(timeout=90)
    assert process.returncode == 1, error
    assert manifest(run)["status"] == "failed"
    assert not processes_of(run)


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_a_run_that_is_alive_is_refused_to_a_second_command(tmp_path):
    process = start(*LONG, cwd=tmp_path)
    wait_for(begun(tmp_path))
    second = expctl(*LONG, cwd=tmp_path)
    assert second.returncode == 2
    assert "running" in second.stderr and str(process.pid) in second.stderr
    assert alive(process.pid)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 75


def test_a_run_whose_process_is_gone_is_reported_as_interrupted(tmp_path):
    from expctl.runs import manifest as manifests
    from expctl.runs.files import Run

    process = start(*LONG, cwd=tmp_path)
    wait_for(begun(tmp_path))
    run = Run(only_run(tmp_path))
    assert manifests.read(run)["status"] == "running"
    process.kill()
    process.wait()
    assert manifests.read(run)["status"] == "interrupted"


def test_a_reward_that_raises_stops_the_run_with_its_name_and_the_completion(tmp_path):
    (tmp_path / "bad.py").write_text("def boom(completions, **kwargs):\n    raise KeyError('lost')\n")
    done = expctl("reward.functions.mine._target_=bad.boom", "args.max_steps=1", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 1
    assert "reward 'mine'" in done.stderr and "KeyError" in done.stderr and "on the completion" in done.stderr
    told = manifest(only_run(tmp_path))
    assert told["status"] == "failed" and "reward 'mine'" in told["error"]


def test_a_reward_of_the_wrong_length_stops_the_run_with_the_counts(tmp_path):
    (tmp_path / "bad.py").write_text("def short(completions, **kwargs):\n    return [1.0]\n")
    done = expctl("reward.functions.mine._target_=bad.short", "args.max_steps=1", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 1
    assert "reward 'mine' returned 1 values for 128 completions" in done.stderr
    assert manifest(only_run(tmp_path))["status"] == "failed"


def test_output_that_is_piped_into_head_ends_quietly(tmp_path):
    done = subprocess.run(
        f"{processes_command()} list | head -1", shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr


def processes_command():
    from harness import COMMAND

    return COMMAND
