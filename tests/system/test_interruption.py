"""A run that is stopped or killed says so, and the same command finishes it."""

import os
import signal
import subprocess
import sys
import time

import harness
import pytest
from harness import (
    alive,
    clean_environment,
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

LONG = [*harness.LONG, "args.save_steps=20"]


def begun(folder, steps=3):
    """Whether a run has logged its first steps."""
    return lambda: any(len(file.read_text().splitlines()) >= steps for file in folder.glob("outputs/*/metrics.jsonl"))


@pytest.mark.parametrize(
    ("hardware", "number"),
    [("cpu", signal.SIGTERM), ("cpu", signal.SIGUSR1), ("cpu_2", signal.SIGINT), ("cpu_2", signal.SIGUSR2)],
)
def test_a_signal_saves_exits_75_and_the_same_command_carries_on(hardware, number, tmp_path):
    # Any signal to the command is SIGTERM to the workers. A launcher and ranks that were started meet one
    # below, in test_phases.py and in test_slurm.py; these are forked.
    process = start(*LONG, f"hardware={hardware}", cwd=tmp_path, forked=True)
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

    process = start(*LONG, f"hardware={hardware}", cwd=tmp_path, forked=True)
    wait_for(lambda: metrics_reach(run, stopped_at + 3))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    told = manifest(run)
    assert told["attempts"][1]["from_step"] == stopped_at
    steps = [row["step"] for row in metrics(run) if "loss" in row]
    assert steps == list(range(1, len(steps) + 1))


def test_no_process_outlives_a_parent_that_is_killed(tmp_path):
    process = start(*LONG, "hardware=cpu_2", cwd=tmp_path)
    wait_for(begun(tmp_path))
    run = only_run(tmp_path)
    assert processes_of(run)
    process.kill()
    process.wait()
    wait_for(lambda: not processes_of(run))


def test_a_killed_worker_is_a_failure_with_its_log_and_the_same_command_finishes(tmp_path):
    words = [word.replace("2000", "60") for word in LONG]
    process = start(*words, cwd=tmp_path, forked=True)
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
    assert f"(process {max(ranks)} on " in error and "was killed or crashed" in error
    told = manifest(run)
    assert told["status"] == "failed" and f"process {max(ranks)}" in told["error"]
    assert not processes_of(run)


def test_a_rank_that_raises_is_the_error_and_not_what_its_peers_say(tmp_path):
    (tmp_path / "bad.py").write_text(
        "import os\nfrom transformers import TrainerCallback\n\n\n"
        "class Boom(TrainerCallback):\n    def on_step_end(self, args, state, control, **kwargs):\n"
        "        if state.global_step == 3 and os.environ['RANK'] == '1':\n            raise KeyError('lost')\n"
    )
    done = expctl(*LONG, "hardware=cpu_2", "callbacks.boom._target_=bad.Boom", cwd=tmp_path)
    assert done.returncode == 1
    told = manifest(only_run(tmp_path))
    assert told["status"] == "failed" and told["error"] == "KeyError: 'lost'"
    assert "KeyError: 'lost'" in done.stderr
    assert "raise KeyError" in (only_run(tmp_path) / "worker.log").read_text()


def test_a_second_ctrl_c_stops_at_once_and_leaves_nothing_running(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\nfrom transformers import TrainerCallback\n\n\n"
        "class Slow(TrainerCallback):\n    def on_step_begin(self, args, state, control, **kwargs):\n"
        "        if state.global_step == 3:\n            Path('slow').touch()\n            time.sleep(600)\n"
    )
    words = ["hardware=cpu_2", "callbacks.slow._target_=slow.Slow", "args.save_steps=2"]
    process = start(*LONG, *words, cwd=tmp_path)
    wait_for((tmp_path / "slow").exists)
    twice_at_a_persons_pace(process)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75 and "from checkpoint-2" in error
    wait_for(lambda: not processes_of(only_run(tmp_path)), seconds=10)
    assert manifest(only_run(tmp_path))["status"] == "interrupted"


def test_a_hang_is_reported_with_the_stacks_of_every_rank(tmp_path):
    (tmp_path / "stuck.py").write_text(
        "import time\nfrom transformers import TrainerCallback\n\n\n"
        "class Stuck(TrainerCallback):\n    def on_step_begin(self, args, state, control, **kwargs):\n"
        "        if state.global_step == 2:\n            self.waits_for_what_never_comes()\n\n"
        "    def waits_for_what_never_comes(self):\n        time.sleep(600)\n"
    )
    words = ["hardware=cpu_2", "hardware.hang_minutes=0.2", "callbacks.stuck._target_=stuck.Stuck"]
    process = start(*LONG, *words, cwd=tmp_path, forked=True)
    stuck = "waits_for_what_never_comes"
    wait_for(lambda: runs(tmp_path) and sum(stuck in said for said in reports(tmp_path)) == 2)
    twice_at_a_persons_pace(process)
    out, error = process.communicate(timeout=60)
    assert "no step for" in out + error and "stacks" in out + error


def twice_at_a_persons_pace(process):
    """Two signals at the very same instant are one to the kernel."""
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)


def reports(folder):
    return [path.read_text() for path in (only_run(folder) / "stacks").glob("rank-*.txt")]


def test_of_two_commands_started_at_the_same_instant_one_runs(tmp_path):
    words = [word.replace("2000", "30") for word in LONG]
    both = [start(*words, cwd=tmp_path, forked=True) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 2], said
    refused = said[[process.returncode for process in both].index(2)][1]
    assert "is running already" in refused and "None" not in refused
    told = manifest(only_run(tmp_path))
    assert told["status"] == "completed" and len(told["attempts"]) == 1
    assert [row["step"] for row in metrics(only_run(tmp_path)) if "loss" in row] == list(range(1, 31))


def test_a_launcher_of_one_process_that_is_told_to_stop_leaves_no_training_behind(tmp_path):
    """`accelerate launch` with one process dies of SIGTERM without a word to its child."""
    launcher = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_processes",
        "1",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--cpu",
        "-m",
        "expctl",
    ]
    process = subprocess.Popen([*launcher, *LONG], cwd=tmp_path, env=clean_environment())
    wait_for(begun(tmp_path))
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    run = only_run(tmp_path)
    wait_for(lambda: not processes_of(run))
    wait_for(lambda: manifest(run)["status"] == "interrupted")
    assert list((run / "checkpoints").glob("checkpoint-*"))


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_a_run_that_is_alive_is_refused_to_a_second_command(tmp_path):
    process = start(*LONG, cwd=tmp_path, forked=True)
    wait_for(begun(tmp_path))
    second = expctl(*LONG, cwd=tmp_path, forked=False)
    assert second.returncode == 2
    assert "running" in second.stderr and str(process.pid) in second.stderr
    assert alive(process.pid)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 75


def test_a_run_whose_process_is_gone_is_reported_as_interrupted(tmp_path):
    from expctl.runs import manifest as manifests
    from expctl.runs.files import Run

    process = start(*LONG, cwd=tmp_path, forked=True)
    wait_for(begun(tmp_path))
    run = Run(only_run(tmp_path))
    assert manifests.read(run).status == "running"
    process.kill()
    process.wait()
    wait_for(lambda: manifests.read(run).status != "running")
    assert manifests.read(run).status == "interrupted"
    assert processes_of(run.folder) == []


# What the model writes has no such mark, and what the check gives it to begin with has.
FAILS_LATER = (
    "def boom(completions, **kwargs):\n    if '####' not in completions[0]:\n        {}\n"
    "    return [0.0] * len(completions)\n"
)


def test_a_reward_that_raises_stops_the_run_with_its_name_and_the_completion(tmp_path):
    (tmp_path / "bad.py").write_text(FAILS_LATER.format("raise KeyError('lost')"))
    done = expctl("reward.functions.mine._target_=bad.boom", "args.max_steps=1", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 1
    # Which completion it was, only a second call would tell; that may cost money, so the first one is shown.
    assert "reward 'mine' raised KeyError: 'lost'; the first of 128 completions was" in done.stderr
    told = manifest(only_run(tmp_path))
    assert told["status"] == "failed" and "reward 'mine'" in told["error"]


def test_a_reward_of_the_wrong_length_stops_the_run_with_the_counts(tmp_path):
    (tmp_path / "bad.py").write_text(FAILS_LATER.format("return [1.0]"))
    done = expctl("reward.functions.mine._target_=bad.boom", "args.max_steps=1", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 1
    assert "reward 'mine' returned 1 values for 128 completions" in done.stderr
    assert manifest(only_run(tmp_path))["status"] == "failed"


def test_a_reward_that_raises_from_the_start_is_refused_and_leaves_no_run(tmp_path):
    (tmp_path / "bad.py").write_text("def boom(completions, **kwargs):\n    raise KeyError('lost')\n")
    done = expctl("reward.functions.mine._target_=bad.boom", "args.max_steps=1", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "reward 'mine' raised KeyError: 'lost'; the first of" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr and len(done.stderr.splitlines()) < 7
    assert not (tmp_path / "outputs").exists()


def test_output_that_is_piped_into_head_ends_quietly(tmp_path):
    done = subprocess.run(
        f"{processes_command()} list | head -1", shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr


def processes_command():
    from harness import COMMAND

    return COMMAND
