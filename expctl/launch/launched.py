"""Who launched this process: a person, or `accelerate launch`, `torchrun` or `srun` as one of several."""

import contextlib
import os
import re
import subprocess
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that were launched together, and the rank of this one."""

    rank: int
    world: int
    machines: int

    @property
    def processes_a_machine(self) -> int:
        """Processes on each machine."""
        return self.world // self.machines


def group_of_this_process() -> ProcessGroup | None:
    """The group that a launcher put this process in, or None for a process on its own."""
    env = os.environ
    if "RANK" not in env and int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        _adopt_slurm(env)
    if "RANK" not in env or "WORLD_SIZE" not in env:
        return None
    world = int(env["WORLD_SIZE"])
    machines = max(1, world // max(1, int(env.get("LOCAL_WORLD_SIZE", world))))
    return ProcessGroup(int(env["RANK"]), world, machines)


def launched_alone() -> bool:
    """Whether `accelerate launch` started this as its only process."""
    try:
        return b"accelerate" in Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    except OSError:
        return False


def _adopt_slurm(env: MutableMapping[str, str]) -> None:
    """What torch reads, from what srun sets: without it each task would train a model of its own."""
    env["RANK"], env["LOCAL_RANK"] = env["SLURM_PROCID"], env["SLURM_LOCALID"]
    env["WORLD_SIZE"] = env["SLURM_STEP_NUM_TASKS"]
    env["LOCAL_WORLD_SIZE"] = str(int(env["WORLD_SIZE"]) // int(env.get("SLURM_STEP_NUM_NODES", 1)))
    env.setdefault("MASTER_ADDR", _first_host(env.get("SLURM_STEP_NODELIST") or env.get("SLURM_NODELIST", "localhost")))
    # The same on every task of a step, another for the next step.
    number = int(env.get("SLURM_JOB_ID", 0)) * 16 + int(env.get("SLURM_STEP_ID", 0))
    env.setdefault("MASTER_PORT", str(20000 + 2 * (number % 10000)))


def _first_host(nodes: str) -> str:
    """The first of a Slurm host list such as `node[03-05,9],login`."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, timeout=10)
        if shown.returncode == 0 and shown.stdout.strip():
            return shown.stdout.split()[0]
    match = re.match(r"([^\[,]+)(?:\[(\w+))?", nodes)
    return match[1] + (match[2] or "") if match else "localhost"
