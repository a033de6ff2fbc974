"""Checks of BEMA (arXiv 2508.00180), on DPO and on GRPO with KL."""

from typing import Any

import torch
import trl
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOConfig, GRPOConfig

from expctl.algorithms.bema_for_ref_model import BEMACallback, DPOTrainer, GRPOTrainer
from expctl.verify.check import CheckFailed, check
from expctl.verify.setup import (
    build,
    difference,
    greatest,
    grpo,
    interrupted,
    policy,
    relative,
    substantial,
    trained,
    vector,
)

DPO_SETTINGS = {"per_device_train_batch_size": 4, "max_steps": 4}
NEUTRAL: dict[str, Any] = {"update_freq": 1, "ema_power": 0.0, "bias_power": 0.0}


class Trajectory(TrainerCallback):
    """Records the weights before the first step and after every step, and BEMA's at the same times."""

    def __init__(self, bema: BEMACallback | None = None):
        self.bema = bema
        self.live: list[Tensor] = []
        self.averaged: list[Tensor] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record the weights before the first step."""
        self._record(kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Record the weights after a step."""
        self._record(kwargs["model"])

    def _record(self, model: nn.Module) -> None:
        self.live.append(vector(model))
        if self.bema:
            self.averaged.append(bema_vector(self.bema, model))


def bema_vector(callback: BEMACallback, model: nn.Module) -> Tensor:
    """BEMA's weights as one vector, in the order of the model's parameters."""
    return torch.cat([callback.weights.bema[name].flatten() for name, _ in model.named_parameters()])


def dpo(
    callback: BEMACallback | None,
    *others: TrainerCallback,
    trainer: type[trl.DPOTrainer] = DPOTrainer,
    **settings: Any,
) -> trl.DPOTrainer:
    """A DPO trainer on the embedded preferences."""
    callbacks = ([callback] if callback else []) + list(others)
    return build(trainer, DPOConfig, "preference", DPO_SETTINGS | settings, callbacks=callbacks)


@check("zero powers")
def zero_powers_are_the_identity() -> float:
    """are the identity: BEMA is the weights, at every step"""
    callback = BEMACallback(**NEUTRAL)
    trajectory = Trajectory(callback)
    trained(dpo(callback, trajectory))
    return difference(trajectory.averaged, trajectory.live)


@check("averaging only looks")
def watching_changes_nothing() -> float:
    """weights and losses of DPO are those without the callback"""
    ours = trained(dpo(BEMACallback(update_freq=1)))
    return difference(ours, trained(dpo(None, trainer=trl.DPOTrainer)))


def reference_bema(thetas: list[Tensor], lag: int, after: int, time: str) -> list[Tensor]:
    """BEMA after every step by the paper's equations, in float64, kappa 0.5, eta 0.2, gamma 1."""
    results = []
    for step, theta in enumerate(theta.double() for theta in thetas):
        if step <= after:
            average, anchor = theta, theta
        else:
            t = lag + step if time == "trl" else 1 + max(step - after + lag, 1)
            beta, alpha = t**-0.5, t**-0.2
            average = (1 - beta) * average + beta * theta
        results.append(average if step <= after else average + alpha * (theta - anchor))
    return results


@check("recurrence", at_most=0.001)
def recurrence() -> float:
    """BEMA is the paper's after every step, in TRL's and in the paper's time

    In units of the distance that the weights went: BEMA is kept in single precision.
    """
    measured = []
    for time, after in (("trl", 0), ("trl", 1), ("paper", 1)):
        callback = BEMACallback(update_freq=1, lag=3, update_after=after, time=time)
        trajectory = Trajectory(callback) if after == 0 else Trajectory()
        trained(dpo(callback, trajectory, max_steps=5))
        expected = reference_bema(trajectory.live, 3, after, time)
        if after == 0:
            pairs = list(zip(trajectory.averaged, expected, strict=True))[1:]
        else:  # BEMA has no weights in the first steps: the last ones are compared
            last = torch.cat([tensor.flatten() for tensor in callback.weights.bema.values()])
            pairs = [(last, expected[-1])]
        start = trajectory.live[0].double()
        for bema, reference in pairs:
            measured.append(relative([bema.double() - start], [reference - start]))
    return greatest(measured)


@check("save and restore")
def save_and_restore() -> float:
    """a run resumed from a checkpoint ends with the same weights and BEMA"""

    def make(folder: str) -> trl.DPOTrainer:
        return dpo(BEMACallback(update_freq=1, lag=3), output_dir=folder, save_strategy="steps", save_steps=2)

    def averages(run: trl.DPOTrainer) -> list[Tensor]:
        (callback,) = (callback for callback in run.callback_handler.callbacks if isinstance(callback, BEMACallback))
        return [tensor for _, tensor in sorted(callback.weights.state_dict().items())]

    return interrupted(make, 2, averages)


@check("hard copy", at_most=1e-5)
def hard_copy_has_no_margin() -> float:
    """DPO against a reference copied at every step has margin 0

    Greatest margin after the first step, of a reference that is copied from the policy at every step.
    """
    callback = BEMACallback(**NEUTRAL, update_ref_model=True, ref_model_update_freq=1)
    ours = dpo(callback)
    trained(ours)
    fixed = dpo(None, trainer=trl.DPOTrainer)
    trained(fixed)
    substantial(torch.tensor(margins(fixed)), "a reference that stays behind has no margin either")
    return greatest(map(abs, margins(ours)))


def margins(trainer: Trainer) -> list[float]:
    """Reward margins logged after the first step."""
    logged = [row["rewards/margins"] for row in trainer.state.log_history if "rewards/margins" in row]
    if len(logged) != DPO_SETTINGS["max_steps"]:
        raise CheckFailed(f"{len(logged)} margins are logged in {DPO_SETTINGS['max_steps']} steps")
    return logged[1:]


@check("moving reference")
def reference_is_bema() -> float:
    """the reference model of GRPO with KL is BEMA

    Of GRPO with KL: the reference model ends as the average, which is neither where it began nor the policy.
    """
    callback = BEMACallback(update_freq=1, lag=3, update_ref_model=True, ref_model_update_freq=1)
    ours = grpo(GRPOTrainer, GRPOConfig, beta=0.1, keywords={"callbacks": [callback]})
    reference_model = ours.ref_model
    assert reference_model is not None  # with beta above 0 GRPO has one
    before = vector(reference_model)
    trained(ours)
    reference = vector(reference_model)
    substantial(reference - before, "the reference model did not move")
    substantial(reference - vector(policy(ours)), "the reference model is the policy")
    return difference([reference], [bema_vector(callback, policy(ours))])
