"""Checks of the trainer that has every part: filtering, ratios with token advantages, replay, resampling, BEMA."""

from typing import Any

import torch
import trl
from torch import Tensor

from expctl.algorithms.bema_for_ref_model import BEMACallback
from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.dynamic_sampling import DynamicSamplingTrainer
from expctl.algorithms.gfpo import GFPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferTrainer
from expctl.algorithms.gspo_token import GRPOTrainer as GSPOTokenTrainer
from expctl.algorithms.token_advantages import DiscountedCredit
from expctl.verify.check import CheckFailed, check
from expctl.verify.grpo_replay import Teaching, first_group_teaches
from expctl.verify.setup import G, difference, greatest, grpo, interrupted, trained, vector

FILTER: dict[str, Any] = {"num_remains_in_group": 3}
RATIO: dict[str, Any] = {"importance_sampling_level": "sequence_token", "epsilon": 3e-4, "epsilon_high": 4e-4}
REPLAY: dict[str, Any] = {"replay_buffer_size": 8}


@check("nothing set is GRPO")
def nothing_set_is_grpo() -> float:
    """with no part configured: weights and losses are TRL's GRPO's, 2 steps"""
    ours = trained(grpo(ComposedTrainer, ComposedConfig))
    return difference(ours, trained(grpo(trl.GRPOTrainer, trl.GRPOConfig)))


@check("one part set")
def one_part_is_its_own_trainer() -> float:
    """is that part's own trainer: filter, ratio with credit, replay, dynamic sampling"""
    half_rollouts = {"steps_per_generation": 2, "per_device_train_batch_size": G}
    parts: list[tuple[type[trl.GRPOTrainer], dict[str, Any], dict[str, Any]]] = [
        (GFPOTrainer, FILTER, {"group_filter_func": "shortest"}),
        (GSPOTokenTrainer, RATIO | half_rollouts, {"token_advantages": DiscountedCredit(0.9)}),
        (GRPOWithReplayBufferTrainer, REPLAY, {}),
        (DynamicSamplingTrainer, {"resample_tries": 1}, {}),
    ]
    measured = []
    for simpler, settings, keywords in parts:
        runs = []
        for trainer in (ComposedTrainer, simpler):
            reward = Teaching((True, True), (True, False))
            runs.append(trained(grpo(trainer, ComposedConfig, reward=reward, keywords=keywords, **settings)))
        measured.append(difference(*runs))
    return greatest(measured)


@check("all parts, resumed")
def all_parts_resumed() -> float:
    """a run with all parts, resumed in a rollout, ends where the uninterrupted one does"""
    settings = FILTER | RATIO | REPLAY | {"per_device_train_batch_size": G, "steps_per_generation": 2, "beta": 0.1}
    settings |= {"max_steps": 5, "save_strategy": "steps", "save_steps": 3}

    def make(folder: str) -> ComposedTrainer:
        callback = BEMACallback(update_freq=1, lag=3, update_ref_model=True, ref_model_update_freq=1)
        keywords = {"group_filter_func": "shortest", "token_advantages": DiscountedCredit(0.9), "callbacks": [callback]}
        settings_here = settings | {"output_dir": folder}
        return grpo(ComposedTrainer, ComposedConfig, reward=first_group_teaches, keywords=keywords, **settings_here)

    def buffer_and_reference(run: ComposedTrainer) -> list[Tensor]:
        if not any(group.uses for group in run.replay_buffer.groups):
            raise CheckFailed("nothing was compared: no group was replayed")
        stored = [(group.priority, group.step, group.uses) for group in run.replay_buffer.groups]
        assert run.ref_model is not None  # with beta above 0
        return [torch.tensor(stored), vector(run.ref_model)]

    return interrupted(make, 3, buffer_and_reference)
