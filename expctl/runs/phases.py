"""The phases of a training's steps: what each row of `metrics.jsonl` says of their time, and the sums over a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SAMPLING, SCORING, LOG_PROBABILITIES, UPDATE = "sampling", "scoring", "log_probabilities", "update"
WEIGHTS, CHECKPOINT, EVALUATION, OTHER = "weights", "checkpoint", "evaluation", "other"
# Phase -> what a person calls it. A phase does not contain another: what is nested counts where it belongs.
PHASES = {
    SAMPLING: "sampling",  # completions, by whatever engine
    SCORING: "scoring and rewards",  # rewards, advantages, filters, batches
    LOG_PROBABILITIES: "log-probabilities",  # of the policy that sampled and of the reference, before the update
    UPDATE: "update",  # forward, backward and optimizer
    WEIGHTS: "weights handed over",  # to an engine
    CHECKPOINT: "checkpoint",
    EVALUATION: "evaluation",  # within the training
    OTHER: "other",  # data, logs, callbacks
}
# Of all phases but evaluation and checkpoint, in seconds of the processor: what else a machine does is not in it.
CPU_SECONDS = "time/cpu_seconds"
_PREFIX, _SECONDS, _TOKENS = "time/", "_seconds", "_tokens_per_second"


@dataclass
class PhaseTimes:
    """Seconds of each phase, and the tokens that it processed where these are counted.

    `cpu_seconds`: what the cores of this process computed in all phases but evaluation and checkpoint.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    def add(self, seconds: Mapping[str, float], tokens: Mapping[str, float]) -> None:
        """Add the times of further steps."""
        for phase, value in seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + value
        for phase, count in tokens.items():
            self.tokens[phase] = self.tokens.get(phase, 0.0) + count

    @property
    def tokens_per_second(self) -> dict[str, float]:
        """Phase -> tokens a second, of those that took any time."""
        return {phase: count / self.seconds[phase] for phase, count in self.tokens.items() if self.seconds.get(phase)}

    def as_metrics(self) -> dict[str, float]:
        """As a row of `metrics.jsonl` has it: `time/sampling_seconds`, `time/sampling_tokens_per_second`, ..."""
        rates = {f"{_PREFIX}{phase}{_TOKENS}": round(rate, 1) for phase, rate in self.tokens_per_second.items()}
        seconds = {f"{_PREFIX}{phase}{_SECONDS}": round(value, 6) for phase, value in self.seconds.items()}
        cpu = {CPU_SECONDS: round(self.cpu_seconds, 6)} if self.cpu_seconds else {}
        return seconds | cpu | rates


def times_in(rows: Iterable[Mapping[str, Any]]) -> PhaseTimes:
    """The sums over rows of `metrics.jsonl`; empty where they say nothing of it, as in a run of an earlier expctl."""
    times = PhaseTimes()
    for row in rows:
        seconds = _of_phases(row, _SECONDS)
        rates = _of_phases(row, _TOKENS)
        times.add(seconds, {phase: rate * seconds.get(phase, 0.0) for phase, rate in rates.items()})
    return times


def _of_phases(row: Mapping[str, Any], suffix: str) -> dict[str, float]:
    found = {phase: row.get(f"{_PREFIX}{phase}{suffix}") for phase in PHASES}
    return {phase: float(value) for phase, value in found.items() if isinstance(value, int | float)}
