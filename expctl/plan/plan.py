"""What a training will hold of a device at its fullest: the peaks, their parts, and whether they fit."""

from dataclasses import dataclass
from functools import cached_property

from expctl.plan.sampling import engine_needs, sampling_moments
from expctl.plan.update import Parts, resting, update_moments
from expctl.plan.workload import Sampling, Workload

GIB = 2**30


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
        phases = {"training": self.training, "sampling": self.sampling, "evaluation": self.evaluation}
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
        sampling = self.workload.sampling
        if sampling is None or not sampling.engine_bytes:
            return 0
        return max(0, engine_needs(self.workload, sampling) - sampling.engine_bytes)

    @property
    def tokens_a_step(self) -> int:
        """Tokens of an optimizer step on all devices: those that the update sees, padding included."""
        return self.workload.tokens * self.workload.micro_batches * self.workload.processes

    @property
    def reserves_more(self) -> bool:
        """Whether transformers samples on a GPU: its cache grows token by token, and leaves gaps of every size."""
        sampling = self.workload.sampling
        return self.workload.gpu and sampling is not None and sampling.engine_bytes is None

    def _sampling(self, sampling: Sampling | None) -> Peak | None:
        return None if sampling is None else _fullest(sampling_moments(self.workload, sampling), {})

    def _engine_beside_the_update(self) -> Parts:
        sampling = self.workload.sampling
        if sampling is None or sampling.engine_bytes is None or sampling.engine_sleeps:
            return {}
        return {"engine": sampling.engine_bytes}


def usable(device: Device) -> int:
    """Bytes of a device that tensors may take: CUDA's own context and kernels hold about half a GiB of a GPU."""
    return (device.memory or 0) - GIB // 2


def resting_bytes(workload: Workload) -> int:
    """Bytes that are held from the first step to the last."""
    return sum(resting(workload).values())


def _fullest(moments: dict[str, Parts], beside: Parts) -> Peak:
    peaks = [
        Peak(moment, {name: size for name, size in (parts | beside).items() if size})
        for moment, parts in moments.items()
    ]
    return max(peaks, key=lambda peak: peak.total)
