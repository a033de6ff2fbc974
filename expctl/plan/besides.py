"""What expctl's own algorithms hold besides the training: stored completions, and an average of the weights."""

from collections.abc import Iterator
from typing import Any

from expctl.base.plain_data import mapping
from expctl.plan.settings import Settings
from expctl.plan.workload import Workload

BEMA = "expctl.algorithms.bema_for_ref_model.BEMACallback"
# Of a stored token: its number, its mask and its log-probability, four bytes each.
STORED_TOKEN = 12
# The average, the weights that the training began with, and the last update's; the average alone without correction.
CORRECTED, PLAIN = 12, 4


def besides(workload: Workload, settings: Settings, callbacks: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Name and bytes of each, where it lies on the device that trains; both are kept in main memory unless told."""
    groups, sampling = settings["replay_buffer_size"], workload.sampling
    if groups and sampling and not workload.gpu:
        stored = groups * settings["num_generations"] * sampling.length * STORED_TOKEN
        yield "replay buffer", min(stored, settings["replay_buffer_max_bytes"] or stored)
    for callback in map(mapping, callbacks.values()):
        if callback.get("_target_") != BEMA:
            continue
        on_cpu = str(callback.get("device", "cpu")) == "cpu"
        if on_cpu != workload.gpu:
            corrected = callback.get("bias_power", True) is not None
            yield "average of weights", (CORRECTED if corrected else PLAIN) * workload.trained
