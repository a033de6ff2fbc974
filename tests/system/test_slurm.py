"""A real Slurm of two nodes on this machine: sweeps, cells over nodes, jobs that are put back, batch files.

What Slurm starts is forked, but for the job whose node dies: that one is started, as on a cluster.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import (
    COMMAND,
    REPOSITORY,
    SFT,
    clean_environment,
    expctl,
    forked_workers,
    manifest,
    metrics,
    only_run,
    processes_of,
    run,
    runs,
    start,
    wait_for,
)

SHORT = [*SFT, "args.max_steps=2"]
# Long enough to be told to stop in the middle.
LONG = [*SFT, "args.max_steps=300", "args.per_device_train_batch_size=2", "callbacks.slow._target_=slow.Slow"]
SLOW = """
import time
from pathlib import Path
from transformers import TrainerCallback


class Slow(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if Path("slow").exists():
            time.sleep(0.05)
"""
SLURM = ["-m", "hydra/launcher=slurm", "hardware=cpu"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Environment variables with which commands find the Slurm of these tests."""
    folder = tmp_path_factory.mktemp("slurm")
    begun = run("bash", str(REPOSITORY / "tests/slurm/start.sh"), str(folder), cwd=folder)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    yield {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    run("bash", str(REPOSITORY / "tests/slurm/stop.sh"), str(folder), cwd=folder)


@pytest.fixture(scope="module")
def forked(cluster):
    """The same, for commands and jobs whose workers are forked."""
    return forked_workers(**cluster)


def ask(cluster: dict[str, str], *command: str) -> str:
    done = run(*command, cwd=REPOSITORY, **cluster)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(cluster: dict[str, str]) -> list[str]:
    return sorted(ask(cluster, "squeue", "--noheader", "--array", "--format=%i").split())


def trains(folder: Path) -> bool:
    return bool(runs(folder)) and (only_run(folder) / "metrics.jsonl").exists()


def slow_down(folder: Path) -> Path:
    """Let trainings of a folder take their time, for as long as the file that is returned is there."""
    (folder / "slow.py").write_text(SLOW)
    (folder / "slow").touch()
    return folder / "slow"


def assert_carried_on(folder: Path) -> None:
    """One run in two attempts, whose metrics are those of a run that nobody interrupted."""
    told = manifest(only_run(folder))
    first, second = told["attempts"]
    assert told["status"] == "completed" and first["exit"] == 75 and second["exit"] == 0
    assert first["signal"] and second["from_step"] == first["to_step"] > 0
    steps = [row["step"] for row in metrics(only_run(folder)) if "loss" in row]
    assert steps == sorted(set(steps)) and steps[-1] == 300


def test_cells_become_jobs_that_keep_to_the_gpu_that_slurm_gives_them_and_are_submitted_once(cluster, tmp_path):
    words = [*SLURM, *SHORT, "hydra.launcher.gpus_per_node=1", "seed=0,1"]
    done = expctl(*words, cwd=tmp_path, **cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [manifest(folder)["status"] for folder in runs(tmp_path)] == ["completed"] * 2
    assert {manifest(folder)["environment"]["CUDA_VISIBLE_DEVICES"] for folder in runs(tmp_path)} <= {"0", "1"}
    again = expctl(*words, cwd=tmp_path, **cluster)
    assert again.returncode == 0 and "2 jobs" in done.stdout and "to Slurm" not in again.stdout, again.stderr
    assert all(len(manifest(folder)["attempts"]) == 1 for folder in runs(tmp_path))


def test_a_cell_over_two_nodes_that_is_told_to_stop_is_put_back_and_carries_on_as_the_same_run(
    cluster, forked, tmp_path
):
    slow = slow_down(tmp_path)
    sweep = subprocess.Popen(
        [COMMAND, *SLURM, *LONG, "hardware.num_machines=2", "force=true"],
        cwd=tmp_path,
        env=clean_environment(**forked),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: trains(tmp_path))
    ask(cluster, "scancel", "--signal=USR2", ask(cluster, "squeue", "--noheader", "--format=%i").strip())
    slow.unlink()
    said, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 0, said
    assert_carried_on(tmp_path)
    told = manifest(only_run(tmp_path))
    assert told["attempts"][0]["signal"] == "SIGUSR2" and told["hardware"]["num_machines"] == 2


def test_a_batch_file_for_one_node_is_put_back_when_it_is_preempted_and_one_for_several_joins_them(
    cluster, forked, tmp_path
):
    one, several = tmp_path / "one", tmp_path / "several"
    for folder, file, words, gpus in ((one, "one_node", LONG, 0), (several, "several_nodes", SHORT, 1)):
        folder.mkdir()
        slow_down(folder)
        batch = ["sbatch", f"--gpus-per-node={gpus}", "--output=said", f"--chdir={folder}"]
        ask(forked, *batch, str(REPOSITORY / f"scripts/slurm/{file}.sbatch"), *words)
    wait_for(lambda: trains(one))
    wait_for(lambda: runs(several) and manifest(only_run(several))["status"] == "completed")
    assert manifest(only_run(several))["hardware"]["num_machines"] == 2
    ask(cluster, "srun", "--partition=high", "--exclusive", "--nodes=2", "true")
    (one / "slow").unlink()
    wait_for(lambda: manifest(only_run(one))["status"] == "completed")
    assert_carried_on(one)


def test_a_partition_that_does_not_exist_is_refused_by_name_and_nothing_is_created(cluster, tmp_path):
    done = expctl(*SLURM, *SHORT, "hydra.launcher.partition=hihg", cwd=tmp_path, **cluster)
    assert done.returncode == 2
    assert "no partition 'hihg'; it has high, low" in done.stderr and "nearest  high" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_slurm_does_not_take_is_one_message(cluster, tmp_path):
    done = expctl(*SLURM, *SHORT, "+hydra.launcher.additional_parameters.nodelist=nowhere", cwd=tmp_path, **cluster)
    assert done.returncode != 0 and "Slurm did not take the jobs" in done.stderr and "Invalid node name" in done.stderr
    assert "Traceback" not in done.stderr and runs(tmp_path) == []


def test_hardware_that_is_asked_of_the_wrong_machine_is_refused(cluster, tmp_path):
    done = expctl("-m", "hydra/launcher=slurm", *SHORT, cwd=tmp_path, **cluster)
    assert done.returncode == 2 and "hardware=auto looks at the machine that it is typed on" in done.stderr
    assert runs(tmp_path) == []


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory):
    """A Python path as it is where neither plug-in was installed."""
    links = tmp_path_factory.mktemp("packages")
    left_out = ("hydra_plugins", "submitit", "ray", "hydra_submitit", "hydra_ray")
    installed = [Path(folder) for folder in sys.path if folder.endswith("site-packages")]
    for entry in [entry for folder in installed for entry in folder.iterdir()]:
        if not entry.name.startswith(left_out) and not (links / entry.name).is_symlink():
            (links / entry.name).symlink_to(entry)
    return f"{links}:{REPOSITORY}"


@pytest.mark.parametrize("extra", ["slurm", "ray"])
def test_a_launcher_whose_package_is_missing_names_the_extra(extra, without_extras, tmp_path):
    words = ["-m", f"hydra/launcher={extra}", "hardware=cpu", *SHORT]
    done = run(sys.executable, "-S", "-m", "expctl", *words, cwd=tmp_path, PYTHONPATH=without_extras)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f'pip install "expctl[{extra}]"' in done.stderr and list(tmp_path.iterdir()) == []


STAND_IN = """
import os
if "SLURM_STEP_ID" in os.environ and "EXPCTL_STAND_IN" in os.environ:
    del os.environ["EXPCTL_STAND_IN"]
    import sys, time, urllib.request
    from expctl.config import engine_facts
    from expctl.launch import engine_server
    from expctl.worker import main
    from expctl.runs.records import Summary, WorkerOutcome
    from tests.launch.test_engine_server import SCRIPT

    def attempt(run, stop):
        for _ in range(600):
            try:
                urllib.request.urlopen(os.environ["EXPCTL_VLLM_URL"] + "/health").close()
                break
            except OSError:
                time.sleep(0.1)
        print("sampled at", os.environ["EXPCTL_VLLM_URL"], "from", os.environ["SLURMD_NODENAME"], flush=True)
        Summary().write(run.summary)
        WorkerOutcome(status="completed").write(run.outcome)
        return 0

    def command(config, port, host):
        return [sys.executable, "-c", SCRIPT.replace("127.0.0.1", host), str(port), "healthy", os.getcwd()]

    engine_server.server_command, main.run_attempt = command, attempt
    engine_facts.versions_of_trl, engine_facts.vllm_version = lambda: None, lambda: "any"
"""


def test_a_server_has_the_last_node_of_a_cell_and_ends_with_it(cluster, tmp_path):
    """Both are stood in for, the engine and the training: what is shown is where they run, and how long."""
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    words = [*SLURM, "algorithm=gfpo", "generation=vllm_server", "generation.own_node=true"]
    stand_in = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}", "EXPCTL_STAND_IN": "1"}
    done = expctl(*words, cwd=tmp_path, forked=False, **cluster, **stand_in)
    assert done.returncode == 0, done.stdout + done.stderr
    told = manifest(only_run(tmp_path))
    assert told["status"] == "completed" and told["hardware"]["num_machines"] == 1
    assert "from node1" in (only_run(tmp_path) / "worker.log").read_text()
    assert "sampled at http://node2:" in (only_run(tmp_path) / "worker.log").read_text()
    wait_for(lambda: jobs(cluster) == [] and processes_of(tmp_path) == [])


def test_a_node_that_dies_costs_its_cell_only_the_steps_since_its_checkpoint(cluster, tmp_path):
    slow = slow_down(tmp_path)
    sweep = subprocess.Popen(
        [COMMAND, *SLURM, *LONG, "args.save_steps=20"],
        cwd=tmp_path,
        env=clean_environment(**cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: runs(tmp_path) and list((only_run(tmp_path) / "checkpoints").glob("checkpoint-*")))
    job, node = ask(cluster, "squeue", "--noheader", "--format=%i %N").split()
    daemon = Path(cluster["SLURM_CONF"]).with_name(f"slurmd-{node}.pid")
    os.kill(int(daemon.read_text()), signal.SIGKILL)
    steps = subprocess.run(["pgrep", "--full", rf"slurmstepd: \[{job}"], capture_output=True, text=True).stdout.split()
    for pid in [*map(int, steps), *processes_of(tmp_path)]:
        os.kill(pid, signal.SIGKILL)
    ask(cluster, "scontrol", "update", f"nodename={node}", "state=down", "reason=died")
    slow.unlink()
    try:
        said, _ = sweep.communicate(timeout=200)
    finally:
        ask(cluster, "slurmd", "-N", node)  # it comes back into service by itself
    assert sweep.returncode == 0, said
    told = manifest(only_run(tmp_path))
    first, second = told["attempts"]
    assert told["status"] == "completed" and first["signal"] == "killed" and second["from_step"] > 0
    assert [row["step"] for row in metrics(only_run(tmp_path)) if "loss" in row] == list(range(1, 301))


def test_jobs_that_a_killed_command_left_are_waited_for_and_ctrl_c_saves_them_for_the_same_command(cluster, tmp_path):
    words = [*SLURM, *LONG, "args.max_steps=2,300", "+hydra.launcher.additional_parameters.hold=true"]
    slow = slow_down(tmp_path)
    killed = start(*words, cwd=tmp_path, forked=True, **cluster)
    assert "submitted  2 jobs" in killed.stdout.readline()
    killed.kill()
    killed.communicate()

    again = start(*words, cwd=tmp_path, forked=True, **cluster)
    assert "waiting    for 2 jobs" in again.stdout.readline()
    ask(cluster, "scontrol", "release", jobs(cluster)[1])
    wait_for(lambda: trains(tmp_path))
    again.send_signal(signal.SIGINT)
    said, wrong = again.communicate(timeout=100)
    assert again.returncode == 75 and "2 interrupted" in said and "submitted" not in said, said + wrong
    assert jobs(cluster) == [] and manifest(only_run(tmp_path))["attempts"][0]["to_step"] > 0

    slow.unlink()
    third = start(*words, cwd=tmp_path, forked=True, **cluster)
    assert "submitted  2 jobs" in third.stdout.readline()
    ask(cluster, "scontrol", "release", *jobs(cluster))
    said, wrong = third.communicate(timeout=200)
    assert third.returncode == 0 and "2 completed" in said, said + wrong
    [long] = [folder for folder in runs(tmp_path) if len(manifest(folder)["attempts"]) == 2]
    assert [row["step"] for row in metrics(long) if "loss" in row] == list(range(1, 301))
