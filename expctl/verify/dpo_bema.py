"""Proofs of BEMA (arXiv 2508.00180), on DPO and on GRPO with KL."""

import torch
import trl
from torch import Tensor
from transformers import TrainerCallback
from trl import DPOConfig, GRPOConfig

from expctl.algorithms.bema_for_ref_model import BEMACallback, DPOTrainer, GRPOTrainer
from expctl.verify.check import CheckFailed, Proof
from expctl.verify.setup import build, difference, grpo, interrupted, relative, substantial, trained, vector

DPO_SETTINGS = {"per_device_train_batch_size": 4, "max_steps": 4}
NEUTRAL = {"update_freq": 1, "ema_power": 0.0, "bias_power": 0.0}


class Trajectory(TrainerCallback):
    """The weights after every step, the first entry those before the first one; and BEMA's at the same times."""

    def __init__(self, bema: BEMACallback | None = None):
        self.bema, self.live, self.averaged = bema, [], []

    def on_train_begin(self, args, state, control, model=None, **_):
        self._look(model)

    def on_step_end(self, args, state, control, model=None, **_):
        self._look(model)

    def _look(self, model):
        self.live.append(vector(model))
        if self.bema:
            self.averaged.append(bema_vector(self.bema, model))


def bema_vector(callback: BEMACallback, model) -> Tensor:
    return torch.cat([callback.weights.bema[name].flatten() for name, _ in model.named_parameters()])


def dpo(callback: BEMACallback | None, *others: TrainerCallback, trainer: type = DPOTrainer, **settings):
    callbacks = ([callback] if callback else []) + list(others)
    return build(trainer, DPOConfig, "preference", DPO_SETTINGS | settings, callbacks=callbacks)


def zero_powers_are_the_identity() -> float:
    callback = BEMACallback(**NEUTRAL)
    seen = Trajectory(callback)
    trained(dpo(callback, seen))
    return difference(seen.averaged, seen.live)


def watching_changes_nothing() -> float:
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


def recurrence() -> float:
    """In units of the distance that the weights went: BEMA is kept in single precision."""
    worst = 0.0
    for time, after in (("trl", 0), ("trl", 1), ("paper", 1)):
        callback = BEMACallback(update_freq=1, lag=3, update_after=after, time=time)
        seen = Trajectory(callback) if after == 0 else Trajectory()
        trained(dpo(callback, seen, max_steps=5))
        expected = reference_bema(seen.live, 3, after, time)
        last = torch.cat([tensor.flatten() for tensor in callback.weights.bema.values()])
        pairs = list(zip(seen.averaged, expected, strict=True))[1:] if after == 0 else [(last, expected[-1])]
        start = seen.live[0].double()
        worst = max(worst, *(relative([one.double() - start], [other - start]) for one, other in pairs))
    return worst


def save_and_restore() -> float:
    def make(folder):
        return dpo(BEMACallback(update_freq=1, lag=3), output_dir=folder, save_strategy="steps", save_steps=2)

    def averages(run):
        (callback,) = (each for each in run.callback_handler.callbacks if isinstance(each, BEMACallback))
        return [tensor for _, tensor in sorted(callback.weights.state_dict().items())]

    return interrupted(make, 2, averages)


def hard_copy_has_no_margin() -> float:
    """Greatest margin after the first step, of a reference that is copied from the policy at every step."""
    callback = BEMACallback(**NEUTRAL, update_ref_model=True, ref_model_update_freq=1)
    ours = dpo(callback)
    trained(ours)
    fixed = dpo(None, trainer=trl.DPOTrainer)
    trained(fixed)
    substantial(torch.tensor(margins(fixed)), "a reference that stays behind has no margin either")
    return max(map(abs, margins(ours)))


def margins(trainer) -> list[float]:
    found = [row["rewards/margins"] for row in trainer.state.log_history if "rewards/margins" in row]
    if len(found) != DPO_SETTINGS["max_steps"]:
        raise CheckFailed(f"{len(found)} margins are logged in {DPO_SETTINGS['max_steps']} steps")
    return found[1:]


def reference_is_bema() -> float:
    """Of GRPO with KL: the reference model ends as the average, which is neither where it began nor the policy."""
    callback = BEMACallback(update_freq=1, lag=3, update_ref_model=True, ref_model_update_freq=1)
    ours = grpo(GRPOTrainer, GRPOConfig, beta=0.1, keywords={"callbacks": [callback]})
    before = vector(ours.ref_model)
    trained(ours)
    reference = vector(ours.ref_model)
    substantial(reference - before, "the reference model did not move")
    substantial(reference - vector(ours.model), "the reference model is the policy")
    return difference([reference], [bema_vector(callback, ours.model)])


PROOFS = (
    Proof("zero powers", "are the identity: BEMA is the weights, at every step", zero_powers_are_the_identity),
    Proof("averaging only looks", "weights and losses of DPO are those without the callback", watching_changes_nothing),
    Proof("recurrence", "BEMA is the paper's after every step, in TRL's and in the paper's time", recurrence, 1e-3),
    Proof("save and restore", "a run resumed from a checkpoint ends with the same weights and BEMA", save_and_restore),
    Proof("hard copy", "DPO against a reference copied at every step has margin 0", hard_copy_has_no_margin, 1e-5),
    Proof("moving reference", "the reference model of GRPO with KL is BEMA", reference_is_bema),
)  # fmt: skip
