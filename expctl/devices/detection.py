"""Which devices this machine has, asked without torch."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path


def visible_gpus(dev: Path = Path("/dev")) -> int:
    """Number of NVIDIA GPUs a process started here would see (`CUDA_VISIBLE_DEVICES` respected)."""
    return len(gpu_names(dev))


def gpu_names(dev: Path = Path("/dev")) -> list[str]:
    """The GPUs a process started here would see, as `CUDA_VISIBLE_DEVICES` names them."""
    present = sum(bool(re.fullmatch(r"nvidia\d+", node.name)) for node in dev.glob("nvidia*"))
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [str(number) for number in range(present)]
    # CUDA stops at the first name that is no device.
    named = [name.strip() for name in chosen.split(",") if name.strip()]
    usable = []
    for name in named:
        if name == "-1" or (name.isdigit() and int(name) >= present):
            break
        usable.append(name)
    return usable[:present]


@cache
def compute_capability() -> float | None:
    """The lowest CUDA compute capability of the machine's GPUs, or None where it cannot be asked."""
    values = re.findall(r"\d+\.\d+", _asked("compute_cap"))
    return min(map(float, values)) if values else None


@cache
def gpu_memory() -> int | None:
    """Bytes of memory of the machine's smallest GPU, or None where it cannot be asked."""
    values = re.findall(r"^\d+", _asked("memory.total"), re.M)
    return min(map(int, values)) * 2**20 if values else None


def _asked(field: str) -> str:
    """What nvidia-smi says of each GPU, a line each; empty where it cannot be asked."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def gpu_runs_bf16() -> bool:
    """bfloat16 needs compute capability 8.0 (Ampere); a GPU that does not say is taken to have it."""
    return (compute_capability() or 8.0) >= 8.0


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
