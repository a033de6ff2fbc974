"""Measures where the time of a training's steps goes, without a change to what it computes.

The trainer's methods are called through a stopwatch. Kernels of a GPU run on after the call that launched them, so the
device is waited for where a phase begins and ends; phases are few in a step.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs.phases import (
    CHECKPOINT,
    EVALUATION,
    LOG_PROBABILITIES,
    OTHER,
    SAMPLING,
    SCORING,
    UPDATE,
    WEIGHTS,
    PhaseTimes,
)

# The tensors of a batch whose positions a model computes.
POSITIONS = ("input_ids", "prompt_ids", "completion_ids")
# In these nothing nested counts by itself: log-probabilities within the loss are part of the update.
_CLOSED = (EVALUATION, CHECKPOINT, "loss")


class Stopwatch:
    """Adds each moment to the innermost phase that is open, from `start` to `stop`."""

    def __init__(self, wait: Callable[[], None]):
        """`wait`: returns when the device has done everything that it was given."""
        self._wait = wait
        self._open: list[str] = []
        self._since: float | None = None
        self._cpu_since = 0.0
        self._times = PhaseTimes()

    def start(self) -> None:
        """Begin anew, with nothing measured."""
        self._times, self._open, self._since = PhaseTimes(), [], time.perf_counter()
        self._cpu_since = time.process_time()

    def stop(self) -> None:
        """Measure no more; what was measured since the last `take` is kept."""
        self._charge()
        self._since = None

    def take(self) -> PhaseTimes:
        """What was measured since the last time."""
        self._charge()
        taken, self._times = self._times, PhaseTimes()
        return taken

    def count(self, phase: str, tokens: int) -> None:
        """Note that a phase has processed so many tokens."""
        if self._since is not None and not self._is_closed():
            self._times.add({}, {phase: tokens})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase, `loss` for the part of the update that nothing is nested in."""
        if self._since is None or self._is_closed():
            yield
            return
        self._wait()
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._wait()
            self._charge()
            self._open.pop()

    def _is_closed(self) -> bool:
        return bool(self._open) and self._open[-1] in _CLOSED

    def _charge(self) -> None:
        if self._since is None:
            return
        now, cpu_now = time.perf_counter(), time.process_time()
        innermost = self._open[-1] if self._open else OTHER
        self._times.add({UPDATE if innermost == "loss" else innermost: now - self._since}, {})
        if innermost not in (EVALUATION, CHECKPOINT):
            self._times.cpu_seconds += cpu_now - self._cpu_since
        self._since, self._cpu_since = now, cpu_now


class StepTimes(TrainerCallback):
    """Adds the seconds of each phase, and tokens a second, to what the trainer logs of its steps.

    Tokens are those of this rank times the number of ranks. Those of an update are positions, with padding.
    """

    def __init__(self, trainer: Trainer):
        on_gpu = trainer.args.device.type == "cuda"
        self._watch = Stopwatch(torch.cuda.synchronize if on_gpu else lambda: None)
        self._ranks = trainer.args.world_size
        self._optimizing: Any = None
        # Of what came after the last row: an evaluation, a checkpoint.
        self.rest = PhaseTimes()
        self._time(trainer, "_generate_single_turn", SAMPLING, tokens=_sampled)
        self._time(trainer, "_calculate_rewards", SCORING)
        if hasattr(trainer, "_calculate_rewards"):
            self._time(trainer, "_prepare_inputs", SCORING)
        self._time(trainer, "_get_per_token_logps_and_entropies", LOG_PROBABILITIES, tokens=_scored)
        self._time(trainer, "training_step", UPDATE)
        self._time(trainer, "compute_loss", "loss", counted_as=UPDATE, tokens=_updated)
        self._time(trainer, "_clip_grad_norm", UPDATE)
        self._time(getattr(trainer, "vllm_generation", None), "sync_weights", WEIGHTS)
        self._time(trainer, "_save_checkpoint", CHECKPOINT)
        self._time(trainer, "evaluate", EVALUATION)
        self._log_with_times(trainer)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._watch.start()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._optimizing = self._watch.phase(UPDATE)
        self._optimizing.__enter__()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._optimizing is not None:
            self._optimizing.__exit__(None, None, None)
            self._optimizing = None

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._watch.stop()
        self.rest = self._watch.take()

    def _time(
        self,
        owner: Any,
        name: str,
        phase: str,
        *,
        counted_as: str | None = None,
        tokens: Callable[..., int] | None = None,
    ) -> None:
        """Have a method of an object timed, if it has it; `tokens`: from its result and what it was given."""
        method = getattr(owner, name, None)
        if method is None:
            return

        @wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._watch.phase(phase):
                result = method(*args, **kwargs)
            if tokens is not None:
                self._watch.count(counted_as or phase, self._ranks * tokens(result, *args, **kwargs))
            return result

        setattr(owner, name, timed)

    def _log_with_times(self, trainer: Trainer) -> None:
        log = trainer.log

        @wraps(log)
        def log_with_times(logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            if "loss" in logs:
                logs = logs | self._watch.take().as_metrics()
            log(logs, *args, **kwargs)

        trainer.log = log_with_times  # type: ignore[method-assign] # transformers has no hook before trackers


def _sampled(result: Any, *_: Any, **__: Any) -> int:
    """The tokens of completions; of a trainer with another result none are counted."""
    completions = result[0] if isinstance(result, tuple) and result else []
    return sum(len(ids) for ids in completions) if isinstance(completions, list) else 0


def _scored(result: Any, model: Any = None, input_ids: Any = None, *_: Any, **__: Any) -> int:
    return input_ids.numel() if isinstance(input_ids, torch.Tensor) else 0


def _updated(result: Any, model: Any, inputs: Any, *_: Any, **__: Any) -> int:
    if not isinstance(inputs, dict):
        return 0
    return sum(inputs[name].numel() for name in POSITIONS if isinstance(inputs.get(name), torch.Tensor))
