"""The last machine of a launch, which is the server's. A script stands in for vLLM."""

import os
import signal
import threading

import pytest
from harness import wait_for

from expctl.base.engine import SERVER_URL
from expctl.launch import engine_node, engine_server
from expctl.launch.engine_node import keep_server, leave_to_training, of_training
from expctl.launch.launched import ProcessGroup
from expctl.runs.files import Run, write_yaml
from expctl.runs.lock import Lock
from expctl.runs.records import WorkerOutcome
from tests.launch.test_engine_server import SCRIPT, lives, pids

ALIKE = ProcessGroup(rank=4, world=6, machines=3)


@pytest.fixture
def config():
    return {
        "args": {"use_vllm": True, "vllm_mode": "server"},
        "generation": {"url": None, "devices": 2, "own_node": True, "timeout": 60},
        "hardware": {"num_processes": 2, "num_machines": 2, "use_cpu": False},
    }


@pytest.fixture
def run(tmp_path, config, monkeypatch):
    """A run whose lock is held, as by rank 0; this process is the first one on the last machine."""
    monkeypatch.setenv("SLURMD_NODENAME", "localhost")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setenv("LOCAL_RANK", "0")
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    run = Run(tmp_path)
    write_yaml(run.config, config)
    lock = Lock(run.lock)
    yield run
    lock.release()
    for number, handler in before.items():
        signal.signal(number, handler)


def serve_with(monkeypatch, tmp_path, mode):
    words = ["python", "-c", SCRIPT]
    monkeypatch.setattr(engine_server, "server_command", lambda _, port, host: [*words, str(port), mode, str(tmp_path)])


def test_the_last_machine_does_not_train(config):
    assert of_training(ALIKE, config) == ProcessGroup(rank=4, world=4, machines=2)
    config["generation"]["own_node"] = False
    assert of_training(ALIKE, config) == ALIKE


@pytest.mark.parametrize(("world", "left"), [(4, {"RANK": "1", "WORLD_SIZE": "4"}), (1, {})])
def test_one_process_that_is_left_is_no_group(monkeypatch, world, left):
    monkeypatch.setattr(os, "environ", {"RANK": "1", "WORLD_SIZE": "6"})
    leave_to_training(world)
    assert os.environ == left


def test_the_server_listens_to_other_machines_and_ends_when_the_attempt_has(run, tmp_path, monkeypatch):
    serve_with(monkeypatch, tmp_path, "healthy")
    told = []

    def tell(url):
        told.append(url)
        os.kill(os.getpid(), signal.SIGUSR2)  # as Slurm before a time limit: the training saves, and needs the server
        threading.Timer(0.2, lambda: [pids(tmp_path), WorkerOutcome(status="completed").write(run.outcome)]).start()

    keep_server(run, ALIKE, 4, tell)
    assert told[0].startswith("http://localhost:")
    wait_for(lambda: not any(map(lives, pids(tmp_path))))  # what a signal ended is there until its parent has looked
    assert "devices 4,5 1" in run.server_log.read_text()
    assert WorkerOutcome.read(run.outcome).status == "completed"


def test_a_server_that_dies_is_the_outcome_of_the_attempt(run, tmp_path, monkeypatch):
    serve_with(monkeypatch, tmp_path, "dies")
    keep_server(run, ALIKE, 4, lambda url: None)
    outcome = WorkerOutcome.read(run.outcome)
    assert outcome.status == "failed" and "exit code 1: No available memory" in outcome.error
    assert outcome.error.endswith("(on localhost)")


@pytest.mark.parametrize(
    ("variables", "said"),
    [({"LOCAL_RANK": "1"}, "dealt out in turns"), ({"CUDA_VISIBLE_DEVICES": "0"}, "needs 2 GPUs")],
)
def test_a_machine_on_which_there_can_be_no_server_is_said(run, monkeypatch, variables, said):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = []
    keep_server(run, ALIKE, 4, told.append)
    assert told == [""] and said in WorkerOutcome.read(run.outcome).error


def test_the_other_processes_of_the_machine_wait_for_the_end(run, monkeypatch):
    monkeypatch.setattr(engine_node, "EngineServer", None)
    threading.Timer(0.2, lambda: WorkerOutcome(status="completed").write(run.outcome)).start()
    keep_server(run, ProcessGroup(5, 6, 3), 4, lambda url: pytest.fail(SERVER_URL))
    assert run.outcome.exists()
