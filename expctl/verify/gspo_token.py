"""Checks of GSPO and GSPO-token (arXiv 2507.18071)."""

from typing import Any

import torch
import trl
from torch import Tensor, nn
from trl import GRPOConfig

from expctl.algorithms.gspo_token import GRPOTrainer
from expctl.algorithms.token_advantages import DiscountedCredit
from expctl.verify.check import CheckFailed, check
from expctl.verify.setup import (
    difference,
    gradient,
    greatest,
    grpo,
    interrupted,
    loss_and_gradient,
    move,
    policy,
    relative,
    sample,
    substantial,
    token_logps,
    trained,
)

PAPER: dict[str, Any] = {"epsilon": 3e-4, "epsilon_high": 4e-4}
UNCLIPPED: dict[str, Any] = {"epsilon": 0.99, "epsilon_high": 50.0}


def moved(
    level: str = "sequence_token", upstream: bool = False, **settings: Any
) -> tuple[trl.GRPOTrainer, dict[str, Tensor]]:
    """A trainer whose policy has moved since it sampled, and the batch that it sampled before."""
    defaults: dict[str, Any] = {"loss_type": "grpo", "num_iterations": 2, "double": True}
    trainer = trl.GRPOTrainer if upstream else GRPOTrainer
    built = grpo(trainer, GRPOConfig, importance_sampling_level=level, **defaults | PAPER | settings)
    batch = sample(built)
    move(policy(built), 0.002)
    return built, batch


def credit(batch: dict[str, Tensor]) -> Tensor:
    """`(B, T)`: an advantage for every token, of both signs."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch["completion_mask"].shape, generator=generator, dtype=torch.float64)


@check("constant A is GSPO", at_most=1e-5)
def constant_advantages_are_gspo() -> float:
    """with one advantage a sequence, loss and gradient are level 'sequence', TRL's own"""
    measured = []
    for loss_type in ("grpo", "dapo"):
        for clip in (PAPER, UNCLIPPED):
            ours = loss_and_gradient(*moved(loss_type=loss_type, **clip))
            theirs = loss_and_gradient(*moved("sequence", upstream=True, loss_type=loss_type, **clip))
            measured.append(relative(ours, theirs))
    return greatest(measured)


def equation_13(model: nn.Module, batch: dict[str, Tensor], low: float, high: float) -> Tensor:
    """The paper's objective (13) with the ratio of (14), as a loss; its gradient where nothing is clipped is (17)."""
    logps, mask = token_logps(model, batch), batch["completion_mask"]
    lengths = mask.sum(1, keepdim=True)
    log_ratio = (logps.detach() - batch["old_per_token_logps"]) * mask
    sequence_ratio = (log_ratio.sum(1, keepdim=True) / lengths).exp()
    ratio = sequence_ratio * (logps - logps.detach()).exp()
    advantages = batch["advantages"]
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)
    return -((surrogate * mask).sum(1, keepdim=True) / lengths).mean()


@check("equations 13 to 17", at_most=1e-5)
def equations_13_to_17() -> float:
    """with an advantage a token, loss and gradient are the paper's"""
    measured, gradients = [], []
    for clip in (PAPER, UNCLIPPED):
        ours, batch = moved(**clip)
        batch["advantages"] = credit(batch)
        reference = equation_13(policy(ours), batch, ours.epsilon_low, ours.epsilon_high)
        gradients.append(gradient(reference, policy(ours)))
        measured.append(relative(loss_and_gradient(ours, batch), (reference.detach(), gradients[-1])))
    substantial(gradients[0] - gradients[1], "the clip range changes nothing, so no token is clipped")
    return greatest(measured)


@check("zero-mean credit", at_least=0.1)
def zero_mean_credit_teaches() -> float:
    """moves the policy (the level 'sequence' has no gradient from it)

    Norm of the gradient in units of the one of the same credit before its mean was taken off.
    """
    ours, batch = moved(**UNCLIPPED)
    theirs, _ = moved("sequence", upstream=True, **UNCLIPPED)
    mask, full = batch["completion_mask"], credit(batch)
    mean = (full * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    whole = loss_and_gradient(ours, batch | {"advantages": full})[1].norm()
    token = loss_and_gradient(ours, batch | {"advantages": full - mean})[1].norm()
    sequence = loss_and_gradient(theirs, batch | {"advantages": full - mean})[1].norm()
    if sequence > 1e-5 * whole:
        raise CheckFailed(f"the level 'sequence' has a gradient of {sequence / whole:.1e} from credit of mean zero")
    return float(token / whole)


@check("gamma = 1 is GSPO")
def credit_of_gamma_one_is_gspo() -> float:
    """the token advantages' hook, fed with A itself, changes no weight"""
    settings: dict[str, Any] = {"importance_sampling_level": "sequence_token", "loss_type": "grpo"}
    settings |= PAPER | {"per_device_train_batch_size": 8, "steps_per_generation": 2}
    source = {"token_advantages": DiscountedCredit(gamma=1.0)}
    credited = trained(grpo(GRPOTrainer, GRPOConfig, keywords=source, **settings))
    return difference(credited, trained(grpo(GRPOTrainer, GRPOConfig, **settings)))


@check("discounted credit", at_most=1e-5)
def discounted_credit() -> float:
    """A_t is gamma^(tokens to come) A on every token of the mask"""
    gamma = 0.9
    settings: dict[str, Any] = {"importance_sampling_level": "sequence_token", "loss_type": "grpo"}
    source = {"token_advantages": DiscountedCredit(gamma)}
    plain = sample(grpo(GRPOTrainer, GRPOConfig, **settings))
    credited = sample(grpo(GRPOTrainer, GRPOConfig, keywords=source, **settings))
    expected = torch.zeros(plain["completion_ids"].shape, dtype=torch.float64)
    for i, length in enumerate(plain["completion_mask"].sum(1).tolist()):
        for t in range(length):
            expected[i, t] = gamma ** (length - 1 - t) * plain["advantages"][i].item()
    return difference([credited["advantages"]], [substantial(expected, "every advantage is zero")])


@check("resumed")
def resumed_is_uninterrupted() -> float:
    """a run resumed in the middle of a rollout ends where the uninterrupted one does

    Saved while half of a rollout is still to be trained on, for the first of two times.
    """
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 8,
        "steps_per_generation": 2,
        "num_iterations": 2,
        "max_steps": 5,
    }
    settings |= {"importance_sampling_level": "sequence_token", "loss_type": "grpo", "save_strategy": "steps"} | PAPER
    source = {"token_advantages": DiscountedCredit(0.9)}

    def make(folder: str) -> GRPOTrainer:
        return grpo(GRPOTrainer, GRPOConfig, keywords=source, output_dir=folder, save_steps=1, **settings)

    return interrupted(make, 1, lambda run: [])
