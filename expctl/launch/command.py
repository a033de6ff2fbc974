"""From the hardware group to the command that runs the workers."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.engine import COLOCATED, vllm_mode
from expctl.base.experiment import Hardware
from expctl.devices import sharding
from expctl.devices.detection import cores
from expctl.runs.files import Run, write_yaml
from expctl.runs.manifest import recorded


def worker_command(run: Run, hardware: Hardware) -> list[str]:
    """One process: the worker itself. Several: `accelerate launch` with a config file that stays with the run."""
    if hardware["num_processes"] == 1 and not hardware["sharding"]:
        return [sys.executable, "-m", "expctl.worker", str(run.folder)]
    write_yaml(run.accelerate, accelerate_config(hardware))
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(run.accelerate)]
    return [*launcher, "-m", "expctl.worker", str(run.folder)]


def accelerate_config(hardware: Hardware) -> dict[str, Any]:
    """The file that `accelerate launch` reads, for the processes of one machine (those of several join a group).

    MULTI_GPU also for processes on the CPU: accelerate's own MULTI_CPU starts a single one, and `ACCELERATE_USE_CPU`
    (see `worker_environment`) makes MULTI_GPU mean gloo.
    """
    return {
        "compute_environment": "LOCAL_MACHINE",
        "num_processes": hardware["num_processes"],
        "num_machines": 1,
        "machine_rank": 0,
        "main_process_port": 0,
        "mixed_precision": _precision(hardware),
        "use_cpu": False,
    } | sharding.in_file(hardware["sharding"])


def _precision(hardware: Hardware) -> str:
    if hardware["bf16"]:
        return "bf16"
    return "fp16" if hardware["fp16"] else "no"


def accelerate_environment(hardware: Hardware) -> dict[str, str]:
    """The variables that accelerate reads in each process, whoever launched it."""
    variables = sharding.in_environment(hardware["sharding"])
    if hardware["use_cpu"]:
        variables["ACCELERATE_USE_CPU"] = "true"
    return variables


def worker_environment(run: Run, config: dict[str, Any], folder: Path) -> dict[str, str]:
    """The environment of the workers: the user's own, with the run's code, trackers and share of the cores."""
    environment = dict(os.environ)
    paths = [str(folder), environment.get("PYTHONPATH", "")]
    if recorded(run).rerun_of:
        # The user's code as the run has kept it, also before that in the working folder, which python -m would prefer.
        paths.insert(0, str(run.sources))
        environment["PYTHONSAFEPATH"] = "1"
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # what lies there is sealed
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    # A launcher that waits less would cut off what a worker saves when it is asked to stop.
    environment.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")
    environment["EXPCTL_WORLD_SIZE"] = str(config["hardware"]["num_processes"])
    environment |= accelerate_environment(config["hardware"]) | allocator_environment(config, environment)
    if config["hardware"]["use_cpu"]:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // config["hardware"]["num_processes"])))
    for name, value in engine_environment(config).items():
        environment.setdefault(name, value)
    if config["hardware"]["threads"]:
        environment["OMP_NUM_THREADS"] = str(config["hardware"]["threads"])
    return environment | tracker_environment(run, config["tracker"])


def allocator_environment(config: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Segments that grow, where transformers samples on a GPU and the user has set nothing of the allocator.

    A cache of keys and values is copied to a larger block with every token, which leaves blocks of every size behind:
    44.8 GiB were held of which 16.6 were in use. vLLM does without: its sleep mode refuses such segments.
    """
    is_set = any(name.startswith("PYTORCH_") and name.endswith("ALLOC_CONF") for name in environment)
    if is_set or config["hardware"]["use_cpu"]:
        return {}
    if config["algorithm"]["kind"] != PROMPT_ONLY or config["args"].get("use_vllm"):
        return {}
    return {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}


# GiB of main memory for what a colocated engine on the CPU has computed of its sequences.
CPU_CACHE_GIB = 1


def engine_environment(config: Mapping[str, Any]) -> dict[str, str]:
    """The variables that an engine reads when it is imported; what a person has set takes precedence over them."""
    mode = vllm_mode(config)
    if mode is None:
        return {}
    variables: dict[str, str] = {}
    if mode == COLOCATED:
        variables["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # TRL reaches into the engine to hand the weights over
    if config["hardware"]["use_cpu"]:
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(CPU_CACHE_GIB)
        # Trainer and engine share the cores, and engines side by side would all bind their threads to the same ones.
        variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    return variables


def is_alone_with_engine(config: Mapping[str, Any]) -> bool:
    """Whether a colocated engine has no launcher's rendezvous to join, and needs a port of its own."""
    hardware = config["hardware"]
    return vllm_mode(config) == COLOCATED and hardware["num_processes"] == 1 and not hardware["sharding"]


def tracker_environment(run: Run, tracker: dict[str, Any]) -> dict[str, str]:
    """Where trackers put their files; an online one keeps the user's own settings."""
    if tracker["report_to"] == "tensorboard":
        return {"TENSORBOARD_LOGGING_DIR": str(run.folder / "tensorboard")}
    if tracker["report_to"] == "wandb":
        named = {"WANDB_PROJECT": tracker.get("project"), "WANDB_MODE": tracker.get("mode")}
        return {"WANDB_DIR": str(run.folder)} | {key: value for key, value in named.items() if value}
    return {}
