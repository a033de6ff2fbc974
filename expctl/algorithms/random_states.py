"""The random states of a process as plain data, which `torch.load(..., weights_only=True)` reads."""

import random
from typing import Any

import numpy
import torch


def random_states() -> dict[str, Any]:
    """The states of Python, numpy and torch, on the CPU and on each CUDA device."""
    state: Any = numpy.random.get_state()
    kind, key, *rest = state
    states = {"python": random.getstate(), "numpy": (kind, key.tolist(), *rest), "cpu": torch.random.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.random.get_rng_state_all()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Go back to states that `random_states` gave; those of devices only where there are as many."""
    random.setstate(states["python"])
    kind, key, *rest = states["numpy"]
    numpy.random.set_state((kind, numpy.array(key, dtype=numpy.uint32), *rest))
    torch.random.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.random.set_rng_state_all(states["cuda"])
