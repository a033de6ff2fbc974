"""Devices of this machine, lent to the cells of sweeps: to one at a time, also when several sweeps run at once."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from expctl.base.file_lock import try_lock
from expctl.devices import detection


@dataclass
class Lease:
    """Devices that are one's own until they are given back or the process ends."""

    variables: dict[str, str]
    cores: int = 0
    _descriptors: list[int] = field(default_factory=list)

    def give_back(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


class Machine:
    """What this machine has to lend: its GPUs by name (each a lock file that the kernel frees), its cores by number.

    Cores are counted within this sweep only: to share them with others is the kernel's own trade.
    """

    def __init__(self, folder: Path | None = None):
        self._folder = folder or Path(tempfile.gettempdir()) / f"expctl-devices-{os.getuid()}"
        self.cores = detection.cores()
        self._free_cores = self.cores
        self.gpus = detection.gpu_names()

    def lend_gpus(self, number: int) -> Lease | None:
        """`number` GPUs that nobody else has, or None while there are not so many."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        taken: dict[str, int] = {}
        for name in self.gpus:
            if len(taken) < number and (descriptor := _locked(self._folder / f"gpu-{name}")) is not None:
                taken[name] = descriptor
        lease = Lease({"CUDA_VISIBLE_DEVICES": ",".join(taken)}, _descriptors=list(taken.values()))
        if len(taken) == number:
            return lease
        lease.give_back()
        return None

    def lend_cores(self, number: int, processes: int, *, counted: bool = True) -> Lease | None:
        """`number` cores for so many processes, or None while there are not so many; all are the most one can have.

        `counted` false: they are not taken from anybody, since a person has said how many cells run at once.
        """
        number = min(number, self.cores)
        if counted and number > self._free_cores:
            return None
        taken = number if counted else 0
        self._free_cores -= taken
        return Lease({"OMP_NUM_THREADS": str(max(1, number // processes))}, cores=taken)

    def take_back(self, lease: Lease) -> None:
        self._free_cores += lease.cores
        lease.give_back()


def _locked(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None
