"""What is launched: the worker itself for one process, accelerate with a file of its own for several."""

import os
import sys

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from expctl.devices import sharding
from expctl.launch.command import (
    accelerate_config,
    accelerate_environment,
    allocator_environment,
    worker_command,
    worker_environment,
)
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
FSDP2 = {"fsdp_version": 2, "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "fsdp_reshard_after_forward": False}
ZERO3 = {"zero_stage": 3}


def test_one_process_is_the_plain_worker(tmp_path):
    assert worker_command(Run(tmp_path), CPU) == [sys.executable, "-m", "expctl.worker", str(tmp_path)]
    assert not Run(tmp_path).accelerate.exists()


def test_several_processes_leave_the_file_that_accelerate_read(tmp_path):
    command = worker_command(Run(tmp_path), CPU | {"num_processes": 2})
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert yaml.safe_load(Run(tmp_path).accelerate.read_text())["num_processes"] == 2


def test_accelerate_accepts_every_key_of_the_file(tmp_path):
    eight = CPU | {"use_cpu": False, "num_processes": 8}
    for hardware in (CPU | {"num_processes": 2}, eight | {"sharding": FSDP2}, eight | {"sharding": ZERO3}):
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


@pytest.mark.parametrize("sharding", [None, FSDP2, ZERO3], ids=["copied", "fsdp2", "zero3"])
def test_other_launchers_tell_the_workers_what_accelerate_makes_of_the_file(sharding, tmp_path, monkeypatch):
    hardware = CPU | {"use_cpu": False, "num_processes": 2, "sharding": sharding}
    path = tmp_path / "accelerate.yaml"
    path.write_text(yaml.safe_dump(accelerate_config(hardware)))
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", str(path), "x.py"]))
    arguments.deepspeed_fields_from_accelerate_config = ""  # as the launcher itself sets it after this
    for name in [name for name in os.environ if name.startswith(("FSDP_", "ACCELERATE_"))]:
        monkeypatch.delenv(name)
    made = prepare_deepspeed_cmd_env(arguments)[1] if sharding == ZERO3 else prepare_multi_gpu_env(arguments)
    told = accelerate_environment(hardware)
    assert told.items() <= made.items()
    assert ("ACCELERATE_USE_FSDP" in told, "ACCELERATE_USE_DEEPSPEED" in told) == (sharding == FSDP2, sharding == ZERO3)
    # What it adds are its defaults, which hold without being said, but for this one.
    unsaid = {name for name in made if name.startswith("FSDP_")} - told.keys()
    assert not unsaid or told["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"


@pytest.mark.parametrize("known", [sharding.FSDP, sharding.DEEPSPEED], ids=["fsdp2", "zero3"])
def test_accelerate_knows_every_key_that_may_be_set(known):
    options = vars(launch_command_parser().parse_args(["x.py"]))
    assert set(known) <= options.keys()


def test_the_allocator_has_segments_that_grow_where_transformers_samples_on_a_gpu():
    gpu = {"hardware": CPU | {"use_cpu": False}, "algorithm": {"kind": "prompt-only"}, "args": {}}
    assert allocator_environment(gpu, {}) == {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    assert allocator_environment(gpu | {"hardware": CPU}, {}) == {}
    assert allocator_environment(gpu | {"algorithm": {"kind": "preference"}}, {}) == {}
    assert allocator_environment(gpu | {"args": {"use_vllm": True}}, {}) == {}


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_what_the_user_has_set_of_the_allocator_stays(name):
    gpu = {"hardware": CPU | {"use_cpu": False}, "algorithm": {"kind": "prompt-only"}, "args": {}}
    assert allocator_environment(gpu, {name: "max_split_size_mb:64"}) == {}
