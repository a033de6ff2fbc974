"""What an experiment runs on, and how much memory one such device has."""

import os

from expctl.base.experiment import Experiment
from expctl.base.plain_data import number
from expctl.devices import detection
from expctl.plan.plan import GIB, Device


def device_of(experiment: Experiment) -> Device:
    """The device of an experiment: its memory by `hardware.memory_gib`, else that of this machine."""
    hardware = experiment.hardware
    given = number(experiment.config["hardware"].get("memory_gib"))
    if hardware["use_cpu"]:
        # Processes of one machine share its main memory.
        total = given * GIB if given else main_memory()
        return Device("CPU", round(total / hardware["num_processes"]) if total else None)
    memory = given * GIB if given else detection.gpu_memory()
    return Device("GPU", round(memory) if memory else None)


def main_memory() -> int | None:
    """Bytes of this machine's main memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
