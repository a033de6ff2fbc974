"""Engines that share a device start one after the other: each measures the memory that is free while it starts."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from expctl.base.file_lock import lock
from expctl.devices.leases import lock_folder

CPU = "cpu"


@contextlib.contextmanager
def alone_on(devices: Sequence[str], folder: Path | None = None) -> Iterator[None]:
    """While it is entered, no other process of this user is in it for any of these devices; waits for its turn.

    Args:
        devices: names of GPUs as `CUDA_VISIBLE_DEVICES` has them, or `cpu`.
        folder: of the lock files. The kernel frees a lock however its process ends.
    """
    folder = folder or lock_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as held:
        # In one order, or two processes could wait for each other.
        for name in sorted(set(devices)):
            descriptor = os.open(folder / f"engine-{name}", os.O_RDWR | os.O_CREAT, 0o600)
            held.callback(os.close, descriptor)
            lock(descriptor)
        yield
