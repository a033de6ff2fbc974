"""What the BEMA tests share: an independent float64 BEMA, and a way to walk the callback along given weights."""

from types import SimpleNamespace

import torch
from torch import nn


def expected_bema(
    thetas, update_freq=400, kappa=0.5, eta=0.2, rho=10, tau=0, gamma=1.0, floor=0.0, time="trl"
) -> list[torch.Tensor]:
    """BEMA after every step by the equations of the paper, in float64; `thetas[t]` are the weights after step t.

    `kappa=None` is no average, `eta=None` no correction.
    """
    thetas = [theta.double() for theta in thetas]
    average = anchor = result = None
    results = []
    for step, theta in enumerate(thetas):
        if step <= tau:
            average, anchor, result = theta, theta, theta
        elif (step - tau) % update_freq == 0:
            if time == "trl":
                beta_base = alpha_base = rho + gamma * step
            else:
                elapsed = max(step - tau + rho, 1)
                beta_base, alpha_base = 1 + gamma * elapsed, 1 + elapsed
            beta = 1.0 if kappa is None else max(beta_base ** (-kappa), floor)
            alpha = 0.0 if eta is None else alpha_base ** (-eta)
            average = (1 - beta) * average + beta * theta
            result = average + alpha * (theta - anchor)
        results.append(result)
    return results


def walk(thetas, dtype=torch.float64, length=None):
    """A random walk `(steps + 1, length)`, or `thetas` itself, in `dtype`."""
    if isinstance(thetas, int):
        thetas = torch.randn(thetas + 1, length or 5, dtype=torch.float64).cumsum(0)
    return thetas.to(dtype)


class Weights(nn.Module):
    """A model whose weights are one vector under the name `theta`."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(theta.clone())

    def save_pretrained(self, folder):
        folder.mkdir(parents=True)
        torch.save(self.state_dict(), folder / "weights.pt")


def train_state(step=0, rank=0, max_steps=10_000):
    return SimpleNamespace(global_step=step, is_world_process_zero=rank == 0, max_steps=max_steps)


def follow(callback, thetas, rank=0, args=None, first=0, model=None):
    """Let the callback see the weights `thetas[t]` after step t; returns BEMA after every step (this rank's)."""
    model = model or Weights(thetas[first])
    state, results = train_state(first, rank, len(thetas)), []
    model.theta.data.copy_(thetas[first])
    callback.on_train_begin(args, state, None, model=model)
    for step in range(first, len(thetas)):
        if step > first:
            model.theta.data.copy_(thetas[step])
            state.global_step = step
            callback.on_step_end(args, state, None)
        started = callback.started and rank == 0
        results.append((callback.weights.bema["theta"] if started else model.theta.detach()).clone())
    return results
