"""A reward and a callback that measures: `scripts/gpu_check.py` has them in its working folder, as a user would."""

import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

# What the trainer does in a step, by the methods that do it; a method that the trainer lacks is not timed.
TIMED = {"sampling": "_generate_single_turn", "sampling_and_scoring": "_generate_and_score_completions"}


def spread(completions: list[Any], **columns: Any) -> list[float]:
    """A reward between 0 and 1 that only the text decides, so that random weights have groups with contrast."""
    return [zlib.crc32(str(completion).encode()) % 1000 / 1000 for completion in completions]


class Measure(TrainerCallback):
    """Times the steps and their phases, and takes the peaks of allocated bytes while sampling and while updating.

    Written to `path` when training ends: seconds of each step and phase, completion tokens sampled in each step, and
    the peaks in bytes (of the allocator on a GPU; of the process's memory on a CPU).
    """

    def __init__(self, path: str, trainer: Any):
        self._path = Path(path)
        self._steps: list[dict[str, float]] = []
        self._step: dict[str, float] = {}
        self._peaks = {"sampling_bytes": 0, "training_bytes": 0}
        self._began = 0.0
        for name, method in TIMED.items():
            original = getattr(trainer, method, None)
            if original is not None:
                setattr(trainer, method, self._timed(name, original))

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        _reset_peak()
        self._step = {}
        self._began = _now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._peak("training_bytes")
        self._steps.append({"seconds": _now() - self._began, **self._step})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        reserved = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
        measured = {"steps": self._steps, "reserved_bytes": reserved, **self._peaks}
        self._path.write_text(json.dumps(measured))

    def _timed(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def method(*arguments: Any, **keywords: Any) -> Any:
            outermost = name == "sampling_and_scoring"
            if outermost:
                self._peak("training_bytes")
                _reset_peak()
            began = _now()
            result = original(*arguments, **keywords)
            self._step[name] = self._step.get(name, 0.0) + _now() - began
            if name == "sampling":
                sampled = sum(len(ids) for ids in result[0])
                self._step["tokens"] = self._step.get("tokens", 0) + sampled
            if outermost:
                self._peak("sampling_bytes")
                _reset_peak()
            return result

        return method

    def _peak(self, name: str) -> None:
        self._peaks[name] = max(self._peaks[name], _peak_bytes())


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
