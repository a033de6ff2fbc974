"""Proofs of the trainer that has every part: filtering, sequence ratios with token advantages, replay, BEMA."""

import torch
import trl

from expctl.algorithms.bema_for_ref_model import BEMACallback
from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.gfpo import GFPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferTrainer
from expctl.algorithms.gspo_token import GRPOTrainer as GSPOTokenTrainer
from expctl.algorithms.token_advantages import DiscountedCredit
from expctl.verify.check import CheckFailed, Proof
from expctl.verify.grpo_replay import Teaching, first_group_teaches
from expctl.verify.setup import G, difference, grpo, interrupted, trained, vector

FILTER = {"num_remains_in_group": 3}
RATIO = {"importance_sampling_level": "sequence_token", "epsilon": 3e-4, "epsilon_high": 4e-4}
REPLAY = {"replay_buffer_size": 8}


def nothing_set_is_grpo() -> float:
    ours = trained(grpo(ComposedTrainer, ComposedConfig))
    return difference(ours, trained(grpo(trl.GRPOTrainer, trl.GRPOConfig)))


def one_part_is_its_own_trainer() -> float:
    parts = (
        (GFPOTrainer, FILTER, {"group_filter_func": "shortest"}),
        (GSPOTokenTrainer, RATIO | {"steps_per_generation": 2, "per_device_train_batch_size": G},
         {"token_advantages": DiscountedCredit(0.9)}),
        (GRPOWithReplayBufferTrainer, REPLAY, {}),
    )  # fmt: skip
    worst = 0.0
    for simpler, settings, keywords in parts:
        runs = []
        for trainer in (ComposedTrainer, simpler):
            reward = Teaching((True, True), (True, False))
            runs.append(trained(grpo(trainer, ComposedConfig, reward=reward, keywords=keywords, **settings)))
        worst = max(worst, difference(*runs))
    return worst


def all_parts_resumed() -> float:
    settings = FILTER | RATIO | REPLAY | {"per_device_train_batch_size": G, "steps_per_generation": 2, "beta": 0.1}
    settings |= {"max_steps": 5, "save_strategy": "steps", "save_steps": 3}

    def make(folder):
        callback = BEMACallback(update_freq=1, lag=3, update_ref_model=True, ref_model_update_freq=1)
        keywords = {"group_filter_func": "shortest", "token_advantages": DiscountedCredit(0.9), "callbacks": [callback]}
        settings_here = settings | {"output_dir": folder}
        return grpo(ComposedTrainer, ComposedConfig, reward=first_group_teaches, keywords=keywords, **settings_here)

    def parts(run):
        if not any(group.uses for group in run.replay_buffer.groups):
            raise CheckFailed("nothing was compared: no group was replayed")
        stored = [(group.priority, group.step, group.uses) for group in run.replay_buffer.groups]
        return [torch.tensor(stored), vector(run.ref_model)]

    return interrupted(make, 3, parts)


PROOFS = (
    Proof("nothing set is GRPO", "with no part configured: weights and losses are TRL's GRPO's, 2 steps",
          nothing_set_is_grpo),
    Proof("one part set", "is that part's own trainer: filter, ratio with credit, replay", one_part_is_its_own_trainer),
    Proof("all parts, resumed", "a run with all parts, resumed in a rollout, ends where the uninterrupted one does",
          all_parts_resumed),
)  # fmt: skip
