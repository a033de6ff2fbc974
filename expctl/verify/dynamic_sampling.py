"""Checks of dynamic sampling (DAPO, arXiv 2503.14476, section 3.2)."""

from typing import Any

import torch
import trl
from torch import Tensor

from expctl.algorithms.dynamic_sampling import DynamicSamplingConfig, DynamicSamplingTrainer
from expctl.verify.check import CheckFailed, check
from expctl.verify.grpo_replay import Teaching
from expctl.verify.setup import (
    SAVED_IN_A_ROLLOUT,
    G,
    difference,
    graded,
    greatest,
    grpo,
    interrupted,
    sample,
    trained,
)


def even_teach(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """`graded` where the answer is even, else 1 for all of the group."""
    rewards = graded(completions, answer)
    return [reward if int(right) % 2 == 0 else 1.0 for reward, right in zip(rewards, answer, strict=True)]


def trainer(reward: Any, **settings: Any) -> DynamicSamplingTrainer:
    """A trainer with this reward function."""
    return grpo(DynamicSamplingTrainer, DynamicSamplingConfig, reward=reward, **settings)


@check("no try is GRPO")
def without_a_try_is_grpo() -> float:
    """0 tries, or no group to replace: weights and losses are TRL's GRPO's, 2 steps"""
    measured = []
    for rollouts, tries in (((True, False), 0), ((True, True), 10)):
        ours = trained(trainer(Teaching(rollouts), resample_tries=tries))
        measured.append(difference(ours, trained(grpo(trl.GRPOTrainer, trl.GRPOConfig, reward=Teaching(rollouts)))))
    return greatest(measured)


@check("all groups teach", at_most=1e-5)
def advantages_of_the_completed_batch() -> float:
    """advantages are GRPO's of the rows as they stand, in no group all zero

    Rewards are computed anew from the decoded rows, their advantages in float64.
    """
    ours = trainer(even_teach, resample_tries=50)
    batch = sample(ours)
    if not ours._metrics["train"]["dynamic_sampling/tries"][-1]:
        raise CheckFailed("nothing was compared: all groups taught at once")
    tokenizer: Any = ours.processing_class
    completions = tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    prompts = tokenizer.batch_decode(batch["prompt_ids"], skip_special_tokens=True)
    dataset: Any = ours.train_dataset
    answers = {str(row["prompt"]).strip(): row["answer"] for row in dataset}
    rewards = even_teach(completions, [answers[prompt.strip()] for prompt in prompts])
    groups = torch.tensor(rewards, dtype=torch.float64).view(-1, G)
    expected = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
    if expected.abs().amax(1).min() == 0:
        raise CheckFailed("a group of the completed batch has no contrast")
    return difference([batch["advantages"]], [expected.flatten()])


@check("resumed")
def resumed_is_uninterrupted() -> float:
    """a run resumed in the middle of a rollout samples anew what the uninterrupted one does, and ends where it does"""
    settings = SAVED_IN_A_ROLLOUT | {"max_steps": 5, "resample_tries": 2}

    def tries(run: DynamicSamplingTrainer) -> list[Tensor]:
        last = [row["dynamic_sampling/tries"] for row in run.state.log_history if "dynamic_sampling/tries" in row]
        if not any(last):
            raise CheckFailed("nothing was compared: no group was sampled anew")
        return [torch.tensor(last[-1:])]

    return interrupted(lambda folder: trainer(even_teach, output_dir=folder, **settings), 3, tries)
