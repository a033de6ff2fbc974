"""When BEMA is updated and with which alpha and beta, and when the reference model is (see `bema`). Without torch."""

from dataclasses import dataclass

from expctl.algorithms.limits import Excluded, one_of

TIME_CONVENTIONS = ("trl", "paper")


@dataclass(frozen=True)
class BEMASchedule:
    """When BEMA is updated, and with which alpha and beta. Steps are optimizer steps, counted from 1.

    A power of `None` or below zero is an exact off: `ema_power` off is beta = 1 (no average, EMA = theta),
    `bias_power` off is alpha = 0 (plain EMA, and no buffer for theta_0). `ema_power=0` is off as well, by the
    formula. `bias_power=0` alone is alpha = 1, the strongest correction, as in TRL and the authors' code;
    both powers zero is the neutral setting: nothing is averaged, so nothing is corrected, and BEMA = theta.

    Args:
        update_freq: phi, steps between updates.
        ema_power: kappa.
        bias_power: eta.
        lag: rho, the age in steps at which the averages start.
        update_after: tau, the step at which theta_0 is taken.
        multiplier: gamma.
        min_ema_multiplier: floor under beta (the authors' experiments: 1e-4).
        time: `"trl"`: t is the global step, tau is not subtracted. `"paper"`: the authors' code behind the paper's
            results, t = max(step - tau + rho, 1), beta = (1 + gamma t)^-kappa, alpha = (1 + t)^-eta.

    Raises:
        ValueError: a value out of range, or a beta above 1 at the first update (it would extrapolate).
    """

    update_freq: int = 400
    ema_power: float | None = 0.5
    bias_power: float | None = 0.2
    lag: int = 10
    update_after: int = 0
    multiplier: float = 1.0
    min_ema_multiplier: float = 0.0
    time: str = "trl"

    def __post_init__(self) -> None:
        one_of(TIME_CONVENTIONS, "time", self.time, f"BEMA: time={self.time!r} is not a time convention")
        if self.update_freq < 1:
            raise Excluded(f"BEMA: update_freq={self.update_freq} must be at least 1 step", "", "update_freq")
        for name in ("update_after", "lag", "multiplier"):
            if getattr(self, name) < 0:
                raise Excluded(f"BEMA: {name}={getattr(self, name)} must not be negative", "", name)
        if not 0 <= self.min_ema_multiplier <= 1:
            what = f"BEMA: min_ema_multiplier={self.min_ema_multiplier} must lie in [0, 1]"
            raise Excluded(what, "", "min_ema_multiplier")
        if self.time == "trl" and self.lag + self.multiplier * (self.update_after + self.update_freq) < 1:
            raise Excluded(
                f"BEMA: lag={self.lag} and multiplier={self.multiplier} make beta larger than 1 at the "
                "first update, and the average would extrapolate",
                "Set lag=1 or more",
                "lag",
                "multiplier",
            )

    @property
    def averages(self) -> bool:
        """Whether beta is below 1, so that EMA is not the weights themselves."""
        return self.ema_power is not None and self.ema_power > 0

    @property
    def corrects(self) -> bool:
        """Whether alpha is above 0, so that theta_0 is needed."""
        if self.bias_power is None or self.bias_power < 0:
            return False
        return self.bias_power > 0 or self.averages

    def is_update(self, step: int) -> bool:
        """Whether BEMA is updated after optimizer step `step`: every `update_freq` steps after `update_after`."""
        return step > self.update_after and (step - self.update_after) % self.update_freq == 0

    def beta(self, step: int) -> float:
        """Weight of theta_t in the average, in [0, 1]."""
        if self.ema_power is None or not self.averages:
            return 1.0
        age = self.lag + self.multiplier * step
        if self.time == "paper":
            age = 1 + self.multiplier * self._elapsed(step)
        beta: float = age**-self.ema_power
        return max(beta, self.min_ema_multiplier)

    def alpha(self, step: int) -> float:
        """Weight of the bias correction theta_t - theta_0, in [0, 1]."""
        if self.bias_power is None or not self.corrects:
            return 0.0
        age = self.lag + self.multiplier * step
        if self.time == "paper":
            age = 1 + self._elapsed(step)
        alpha: float = age**-self.bias_power
        return alpha

    def _elapsed(self, step: int) -> int:
        return max(step - self.update_after + self.lag, 1)


def check_reference_updates(schedule: BEMASchedule, every: int, after: int) -> None:
    """Raise `Excluded` unless the reference is written where BEMA is fresh: at step `after`, and every `every` steps.

    `after=0` starts at step `every`.
    """
    phi, tau = schedule.update_freq, schedule.update_after
    names = ("ref_model_update_freq", "update_freq")
    if every < 1 or after < 0:
        what = f"BEMA: ref_model_update_freq={every} must be at least 1, ref_model_update_after={after} at least 0"
        raise Excluded(what, "", *names)
    if every % phi:
        raise Excluded(
            f"BEMA: ref_model_update_freq={every} is not a multiple of update_freq={phi}, so the reference "
            "would get stale averages",
            f"Set ref_model_update_freq={max(1, round(every / phi)) * phi}",
            *names,
        )
    first = after or every
    if first < tau or (first - tau) % phi:
        raise Excluded(
            f"BEMA: the reference is first written at step {first}, and BEMA is fresh at update_after={tau} "
            f"and every update_freq={phi} steps from there",
            f"Set ref_model_update_after={tau + max(0, round((first - tau) / phi)) * phi}",
            "ref_model_update_after",
            *names,
        )
