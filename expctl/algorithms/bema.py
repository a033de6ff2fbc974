"""BEMA: a bias-corrected exponential moving average of the weights (Block and Zhang, 2508.00180).

    EMA_t  = (1 - beta_t) EMA_{t-1} + beta_t theta_t        beta_t  = (rho + gamma t)^-kappa
    BEMA_t = EMA_t + alpha_t (theta_t - theta_0)            alpha_t = (rho + gamma t)^-eta

A plain average lags behind moving weights; the second term pulls it forward by what the average is
missing. Until step tau theta_0 = EMA = BEMA = theta; after it every phi-th step is an update.

alpha decays slowly (0.30 at step 400, 0.19 at 4,000), so BEMA overshoots a converged theta by
alpha_t (theta - theta_0): use it early, start it late (`update_after`), or switch the correction off.

Here is the arithmetic alone. Who calls it: `bema_callback`. What for: `bema_for_ref_model`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor

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

    def __post_init__(self):
        if self.time not in TIME_CONVENTIONS:
            near = get_close_matches(str(self.time), TIME_CONVENTIONS, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"BEMA: time={self.time!r} is not a time convention; did you mean {near!r}? "
                f"There are {' and '.join(map(repr, TIME_CONVENTIONS))}."
            )
        if self.update_freq < 1:
            raise ValueError(f"BEMA: update_freq={self.update_freq} must be at least 1 step.")
        for name in ("update_after", "lag", "multiplier"):
            if getattr(self, name) < 0:
                raise ValueError(f"BEMA: {name}={getattr(self, name)} must not be negative.")
        if not 0 <= self.min_ema_multiplier <= 1:
            raise ValueError(f"BEMA: min_ema_multiplier={self.min_ema_multiplier} must lie in [0, 1].")
        if self.time == "trl" and self.lag + self.multiplier * (self.update_after + self.update_freq) < 1:
            raise ValueError(
                f"BEMA: lag={self.lag} and multiplier={self.multiplier} make beta larger than 1 at the "
                "first update, and the average would extrapolate; set lag=1 or more."
            )

    @property
    def averages(self) -> bool:
        return self.ema_power is not None and self.ema_power > 0

    @property
    def corrects(self) -> bool:
        if self.bias_power is None or self.bias_power < 0:
            return False
        return self.bias_power > 0 or self.averages

    def is_update(self, step: int) -> bool:
        return step > self.update_after and (step - self.update_after) % self.update_freq == 0

    def beta(self, step: int) -> float:
        """Weight of theta_t in the average, in [0, 1]."""
        if not self.averages:
            return 1.0
        age = self.lag + self.multiplier * step
        if self.time == "paper":
            age = 1 + self.multiplier * self._elapsed(step)
        return max(age**-self.ema_power, self.min_ema_multiplier)

    def alpha(self, step: int) -> float:
        """Weight of the bias correction theta_t - theta_0, in [0, 1]."""
        if not self.corrects:
            return 0.0
        age = 1 + self._elapsed(step) if self.time == "paper" else self.lag + self.multiplier * step
        return age**-self.bias_power

    def _elapsed(self, step: int) -> int:
        return max(step - self.update_after + self.lag, 1)


class BEMAWeights:
    """The buffers of BEMA, in fp32 (fp64 for fp64 parameters) on `device`, by parameter name.

    Memory: 12 bytes a trainable parameter (theta_0, EMA, BEMA); 4 without bias correction, where BEMA is the
    EMA. An update is one pass over the parameters and needs one parameter's fp32 copy beside them.
    """

    def __init__(self, schedule: BEMASchedule, device: str | torch.device = "cpu"):
        self.schedule = schedule
        self.device = torch.device(device)
        self.anchor: dict[str, Tensor] = {}
        self.ema: dict[str, Tensor] = {}
        self.bema: dict[str, Tensor] = {}

    @torch.no_grad()
    def start(self, parameters: Mapping[str, Tensor]) -> None:
        """theta_0 = EMA = BEMA = theta."""
        self.ema = {name: self._own(parameter) for name, parameter in parameters.items()}
        self.anchor, self.bema = {}, self.ema
        if self.schedule.corrects:
            self.anchor = {name: ema.clone() for name, ema in self.ema.items()}
            self.bema = {name: ema.clone() for name, ema in self.ema.items()}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, Tensor], step: int) -> None:
        """One update from theta_t, the `parameters` after optimizer step `step`."""
        beta, alpha = self.schedule.beta(step), self.schedule.alpha(step)
        for name, ema in self.ema.items():
            theta = parameters[name].detach().to(self.device, ema.dtype)
            ema.lerp_(theta, beta)  # unlike (1 - beta) EMA + beta theta, this leaves a constant theta exactly alone
            if self.anchor:
                torch.sub(theta, self.anchor[name], out=self.bema[name]).mul_(alpha).add_(ema)

    def state_dict(self) -> dict[str, Tensor]:
        """`{"ema.<parameter>": ..., "anchor.<parameter>": ..., "bema.<parameter>": ...}`; the buffers themselves."""
        kinds = {"ema": self.ema, "anchor": self.anchor, "bema": self.bema if self.anchor else {}}
        return {f"{kind}.{name}": tensor for kind, tensors in kinds.items() for name, tensor in tensors.items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            ValueError: the tensors are not those of `parameters` under this schedule (names or shapes).
        """
        self.start(parameters)
        own = self.state_dict()
        wrong = sorted(own.keys() ^ tensors.keys())
        wrong += sorted(key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape)
        if wrong:
            raise ValueError(
                f"BEMA: the saved state does not fit the trainable parameters: {len(wrong)} tensors differ, "
                f"first {wrong[0]!r}. Were other layers trained, or was the bias correction switched?"
            )
        for key, tensor in own.items():
            tensor.copy_(tensors[key])

    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_dict().values())

    def _own(self, parameter: Tensor) -> Tensor:
        dtype = torch.promote_types(parameter.dtype, torch.float32)
        return torch.empty(parameter.shape, dtype=dtype, device=self.device).copy_(parameter.detach())
