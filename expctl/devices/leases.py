"""Leases on the devices of this machine: whole GPUs, or slots of them, each for one job at a time among all sweeps.

A run that is no job of a sweep takes no lease.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from expctl.base.file_lock import try_lock
from expctl.devices import detection

# To a worker: how many cells its GPU is shared by, itself included.
CELLS_PER_GPU = "EXPCTL_CELLS_PER_GPU"


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

    def lend_gpus(self, number: int, *, slots: int = 1, of: int = 1) -> Lease | None:
        """A lease on `slots` of the `of` slots of each of `number` GPUs, or None while fewer are free.

        A sweep that takes whole GPUs and one that takes slots keep out of each other's way; two that cut a GPU into
        different numbers of slots may give it more cells than either says.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lease = Lease({"CUDA_VISIBLE_DEVICES": ""})
        taken: list[str] = []
        for name in self.gpus:
            if len(taken) == number:
                break
            descriptors = self._slots(name, slots, of)
            if descriptors:
                taken.append(name)
                lease._descriptors += descriptors
        if len(taken) < number:
            lease.give_back()
            return None
        lease.variables["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
        if of > slots:
            lease.variables[CELLS_PER_GPU] = str(of // slots)
        return lease

    def _slots(self, name: str, slots: int, of: int) -> list[int]:
        """Descriptors of the locks on so many slots of a GPU; none where fewer are free."""
        whole = _locked(self._folder / f"gpu-{name}", shared=of > 1)
        if whole is None:
            return []
        held = [whole]
        if of == 1:
            return held
        for slot in range(of):
            descriptor = _locked(self._folder / f"gpu-{name}-slot-{slot}")
            if descriptor is not None:
                held.append(descriptor)
            if len(held) > slots:
                return held
        Lease({}, _descriptors=held).give_back()
        return []

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


def _locked(path: Path, *, shared: bool = False) -> int | None:
    """The descriptor of a file whose lock this process now has, or shares; None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if try_lock(descriptor, shared=shared):
        return descriptor
    os.close(descriptor)
    return None
