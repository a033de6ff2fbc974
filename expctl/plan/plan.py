"""What a training will hold of a device at its fullest: the peaks, their parts, and whether they fit."""

from dataclasses import dataclass
from functools import cached_property

from expctl.plan.sampling import cache_bytes, engine_needs, sampling_moments
from expctl.plan.update import Parts, resting, update_moments
from expctl.plan.workload import Sampling, Workload

GIB = 2**30
# What CUDA and its kernels hold of a GPU for each process.
CONTEXT = GIB // 2
# What torch's allocator held at most on an H200: of what is in use in an update, besides it of a cache that grows
# token by token.
UPDATE_RESERVE, CACHE_RESERVE = 1.31, 3.4


@dataclass(frozen=True)
class Peak:
    """The fullest moment of a phase.

    Args:
        moment: which it is, in words.
        parts: bytes of one device, by part; none is 0.
    """

    moment: str
    parts: Parts

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Device:
    """What the training runs on. `memory`: bytes of one device; None where nobody knows."""

    name: str
    memory: int | None = None


@dataclass(frozen=True)
class Plan:
    """The memory of a training on each of its devices, and whether it fits."""

    workload: Workload
    device: Device

    @cached_property
    def training(self) -> Peak:
        """While the update runs."""
        return _fullest(update_moments(self.workload), self._engine_beside_the_update())

    @cached_property
    def sampling(self) -> Peak | None:
        """While the completions of a training step are sampled and scored; None where none are."""
        return self._sampling(self.workload.sampling)

    @cached_property
    def evaluation(self) -> Peak | None:
        """While completions are sampled in an evaluation; None where none are."""
        return self._sampling(self.workload.evaluation)

    @property
    def peak(self) -> Peak:
        """The fullest moment of all."""
        return max(self.phases.values(), key=lambda peak: peak.total)

    @property
    def phases(self) -> dict[str, Peak]:
        """Phase -> its fullest moment."""
        training = self.training if self.workload.trains else None
        phases = {"training": training, "sampling": self.sampling, "evaluation": self.evaluation}
        return {name: peak for name, peak in phases.items() if peak is not None}

    @property
    def fits(self) -> bool | None:
        """Whether the device bears the peak, and an engine its share of it; None where its memory is unknown."""
        if self.device.memory is None:
            return None
        return self.peak.total <= usable(self.device) and not self.engine_lacks

    @property
    def engine_lacks(self) -> int:
        """Bytes that the engine's share of the device is short of its own weights and the cache of one row."""
        sampling = self.workload.samples
        if sampling is None or not sampling.engine_bytes:
            return 0
        return max(0, engine_needs(self.workload, sampling) - sampling.engine_bytes)

    @property
    def tokens_a_step(self) -> int:
        """Tokens of an optimizer step on all devices: those that the update sees, padding included."""
        return self.workload.tokens * self.workload.micro_batches * self.workload.processes

    @property
    def samples_with_transformers(self) -> bool:
        """Whether a cache grows token by token on a GPU, which leaves gaps of every size in the allocator's memory."""
        sampling = self.workload.samples
        return self.workload.gpu and sampling is not None and sampling.engine_bytes is None

    @property
    def reserved(self) -> int | None:
        """The most bytes that torch's allocator may hold of a GPU, in use or not; None on a CPU.

        Not less than any of 27 trainings on an H200 reserved without expandable segments.
        """
        if not self.workload.gpu:
            return None
        held = round(self.peak.total * UPDATE_RESERVE)
        sampling, peak = self.workload.samples, self._sampling(self.workload.samples)
        if not self.samples_with_transformers or sampling is None or peak is None:
            return held
        cache = cache_bytes(self.workload, sampling.rows, sampling.length)
        return max(held, peak.total + round(CACHE_RESERVE * cache))

    def _sampling(self, sampling: Sampling | None) -> Peak | None:
        return None if sampling is None else _fullest(sampling_moments(self.workload, sampling), {})

    def _engine_beside_the_update(self) -> Parts:
        sampling = self.workload.sampling
        if sampling is None or sampling.engine_bytes is None or sampling.engine_sleeps:
            return {}
        return {"engine": sampling.engine_bytes}


def usable(device: Device) -> int:
    """Bytes of a device that the tensors of one process may take."""
    return max(0, (device.memory or 0) - CONTEXT)


def resting_bytes(workload: Workload) -> int:
    """Bytes that are held from the first step to the last."""
    return sum(resting(workload).values())


def _fullest(moments: dict[str, Parts], beside: Parts) -> Peak:
    peaks = [
        Peak(moment, {name: size for name, size in (parts | beside).items() if size})
        for moment, parts in moments.items()
    ]
    return max(peaks, key=lambda peak: peak.total)
