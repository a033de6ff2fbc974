"""What is launched: the worker itself for one process, accelerate with a file of its own for several."""

import sys

import yaml
from accelerate.commands.config.config_args import ClusterConfig

from expctl.launch.command import accelerate_config, worker_command, worker_environment
from expctl.runs.files import Run

CPU = {
    "use_cpu": True,
    "num_processes": 1,
    "num_machines": 1,
    "bf16": False,
    "fp16": False,
    "sharding": None,
    "threads": None,
}
FSDP2 = {"fsdp_version": 2, "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}


def test_one_process_is_the_plain_worker(tmp_path):
    assert worker_command(Run(tmp_path), CPU) == [sys.executable, "-m", "expctl.worker", str(tmp_path)]
    assert not Run(tmp_path).accelerate.exists()


def test_several_processes_leave_the_file_that_accelerate_read(tmp_path):
    command = worker_command(Run(tmp_path), CPU | {"num_processes": 2})
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert yaml.safe_load(Run(tmp_path).accelerate.read_text())["num_processes"] == 2


def test_accelerate_accepts_every_key_of_the_file(tmp_path):
    for hardware in (CPU | {"num_processes": 2}, CPU | {"use_cpu": False, "num_processes": 8, "sharding": FSDP2}):
        path = tmp_path / "accelerate.yaml"
        path.write_text(yaml.safe_dump(accelerate_config(hardware)))
        ClusterConfig.from_yaml_file(path)


def test_processes_on_the_cpu_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("expctl.launch.command.cores", lambda: 8)
    config = {"hardware": CPU | {"num_processes": 2}, "tracker": {"report_to": "none"}}
    environment = worker_environment(Run(tmp_path), config, tmp_path)
    assert environment["OMP_NUM_THREADS"] == "4" and environment["ACCELERATE_USE_CPU"] == "true"
    assert environment["EXPCTL_WORLD_SIZE"] == "2"
    assert environment["PYTHONPATH"].split(":")[0] == str(tmp_path)
