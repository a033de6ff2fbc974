"""Leases on the devices of this machine: a GPU belongs to one job of a sweep at a time, also among several sweeps.

A run that is no job of a sweep takes no lease.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from expctl.base.file_lock import try_lock
from expctl.devices import detection


@dataclass
class Lease:
    """Devices that no other job has until they are given back or the process ends.

    `variables`: environment variables that make a worker use them.
    """

    variables: dict[str, str]
    cores: int = 0
    _descriptors: list[int] = field(default_factory=list)

    def give_back(self) -> None:
        """End the lease; to end it again does nothing."""
        while self._descriptors:
            os.close(self._descriptors.pop())


class Machine:
    """The devices of this machine: GPUs by name, each with a lock file that the kernel frees, and cores by number.

    Cores are counted within this sweep only: sharing them among sweeps is left to the kernel.
    """

    def __init__(self, folder: Path | None = None):
        self._folder = folder or lock_folder()
        self.cores = detection.cores()
        self._free_cores = self.cores
        self.gpus = detection.gpu_names()

    def lend_gpus(self, number: int) -> Lease | None:
        """A lease on `number` GPUs, or None while fewer are free."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        taken: dict[str, int] = {}
        for name in self.gpus:
            if len(taken) == number:
                break
            descriptor = _locked(self._folder / f"gpu-{name}")
            if descriptor is not None:
                taken[name] = descriptor
        lease = Lease({"CUDA_VISIBLE_DEVICES": ",".join(taken)}, _descriptors=list(taken.values()))
        if len(taken) == number:
            return lease
        lease.give_back()
        return None

    def lend_cores(self, number: int, processes: int, *, counted: bool = True) -> Lease | None:
        """A lease on `number` cores (at most all) for so many processes, or None while fewer are free.

        `counted` false: they do not count as taken, since `n_jobs` says how many jobs run at once.
        """
        number = min(number, self.cores)
        if counted and number > self._free_cores:
            return None
        taken = number if counted else 0
        self._free_cores -= taken
        return Lease({"OMP_NUM_THREADS": str(max(1, number // processes))}, cores=taken)

    def take_back(self, lease: Lease) -> None:
        """End a lease of this machine."""
        self._free_cores += lease.cores
        lease.give_back()


def lock_folder() -> Path:
    """Where this user's lock files of devices are."""
    return Path(tempfile.gettempdir()) / f"expctl-devices-{os.getuid()}"


def _locked(path: Path) -> int | None:
    """The descriptor of a file whose lock this process now has; None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None
