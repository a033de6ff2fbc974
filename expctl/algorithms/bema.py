"""BEMA: a bias-corrected exponential moving average of the weights (Block and Zhang, 2508.00180).

    EMA_t  = (1 - beta_t) EMA_{t-1} + beta_t theta_t        beta_t  = (rho + gamma t)^-kappa
    BEMA_t = EMA_t + alpha_t (theta_t - theta_0)            alpha_t = (rho + gamma t)^-eta

A plain average lags behind moving weights; the second term pulls it forward by what the average is
missing. Until step tau theta_0 = EMA = BEMA = theta; after it every phi-th step is an update.

alpha decays slowly (0.30 at step 400, 0.19 at 4,000), so BEMA overshoots a converged theta by
alpha_t (theta - theta_0): use it early, start it late (`update_after`), or switch the correction off.

This module has the arithmetic. `bema_schedule` has the steps of the updates with their alpha and beta, `bema_callback`
runs them in a training, and `bema_for_ref_model` makes the average the reference model.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from expctl.algorithms.bema_schedule import BEMASchedule


class BEMAWeights:
    """The buffers of BEMA (2508.00180) by parameter name, in fp32 (fp64 for fp64 parameters), each of its shape.

    Memory: 12 bytes a trainable parameter (theta_0, EMA, BEMA); 4 without bias correction, where BEMA is the
    EMA. An update is one pass over the parameters and needs one parameter's fp32 copy beside them.

    Args:
        schedule: when BEMA is updated, and with which alpha and beta.
        device: where the buffers are.
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
        """Memory of the buffers, in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_dict().values())

    def _own(self, parameter: Tensor) -> Tensor:
        dtype = torch.promote_types(parameter.dtype, torch.float32)
        return torch.empty(parameter.shape, dtype=dtype, device=self.device).copy_(parameter.detach())
