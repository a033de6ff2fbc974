"""Checks of GRPO with a replay buffer."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import trl
from torch import Tensor

from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.algorithms.replay_buffer import ReplayBuffer, StoredGroup
from expctl.verify.check import CheckFailed, check
from expctl.verify.setup import (
    SAVED_IN_A_ROLLOUT,
    G,
    difference,
    graded,
    greatest,
    grpo,
    interrupted,
    loss_and_gradient,
    relative,
    sample,
    substantial,
    token_logps,
    trained,
)


class Teaching:
    """A reward function by rollout and group: `graded` where the group is to have contrast, else 1 for all."""

    __name__ = "teaching"

    def __init__(self, *rollouts: tuple[bool, bool]):
        self.rollouts, self.calls = rollouts, 0

    def __call__(self, completions: list[str], answer: list[str], **_: Any) -> list[float]:
        """Rewards of the next rollout's 2 G completions."""
        teaches = self.rollouts[min(self.calls, len(self.rollouts) - 1)]
        self.calls += 1
        rewards = graded(completions, answer)
        return [reward if teaches[i // G] else 1.0 for i, reward in enumerate(rewards)]


def first_group_teaches(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """As `Teaching((True, False))`, and without counting its calls: a resumed run starts to count anew."""
    return graded(completions[:G], answer[:G]) + [1.0] * G


def trainer(*rollouts: tuple[bool, bool], **settings: Any) -> GRPOWithReplayBufferTrainer:
    """A trainer whose rewards are `Teaching`'s for these rollouts, or `graded`."""
    reward = Teaching(*rollouts) if rollouts else graded
    return grpo(GRPOWithReplayBufferTrainer, GRPOWithReplayBufferConfig, reward=reward, **settings)


@check("empty replay is GRPO")
def without_a_stored_group_is_grpo() -> float:
    """size 0, or nothing to replace: weights and losses are TRL's GRPO's, 2 steps

    Size 0 with a group that teaches nothing, and a buffer that no group has to be drawn from.
    """
    measured = []
    for rollouts, size in (((True, False), 0), ((True, True), 64)):
        ours = trained(trainer(rollouts, replay_buffer_size=size))
        measured.append(difference(ours, trained(grpo(trl.GRPOTrainer, trl.GRPOConfig, reward=Teaching(rollouts)))))
    return greatest(measured)


def stored_and_replayed() -> tuple[GRPOWithReplayBufferTrainer, dict[str, Tensor], dict[str, Tensor]]:
    """A batch whose first group teaches, and at the same weights one whose groups do not, with that group replayed."""
    ours = trainer((True, False), (False, False))
    first = sample(ours)
    loss_and_gradient(ours, first)  # its log-probabilities are what is stored
    ours._store_pending()
    if len(ours.replay_buffer) != 1:
        raise CheckFailed(f"{len(ours.replay_buffer)} groups are stored of one that teaches and one that does not")
    return ours, first, sample(ours)


@check("ratio 1", at_most=1e-5)
def ratio_of_a_group_just_stored() -> float:
    """a group just stored, replayed at the same weights, has ratio 1

    Greatest distance from one of the importance ratios of the replayed rows, by a forward pass of our own.
    """
    ours, _, batch = stored_and_replayed()
    replayed = batch["replayed"]
    if int(replayed.sum()) != G:
        raise CheckFailed(f"{int(replayed.sum())} rows are replayed, not the {G} of one group")
    with torch.no_grad():
        log_ratio = token_logps(ours.model, batch) - batch["old_per_token_logps"]
    return ((log_ratio.exp() - 1) * batch["completion_mask"])[replayed].abs().max().item()


@check("same gradient", at_most=1e-5)
def gradient_of_a_group_just_stored() -> float:
    """and the gradient that it had when it was fresh

    The other group of both batches has no advantage, so the gradients differ by the number of tokens alone.
    """
    ours, first, batch = stored_and_replayed()
    batch["num_items_in_batch"] = first["num_items_in_batch"]
    return relative(loss_and_gradient(ours, batch)[1:], loss_and_gradient(ours, first)[1:])


@check("what gives way")
def only_wasted_groups_give_way() -> float:
    """a group is replaced if its rewards are all equal, whole, and no other is

    Number of groups that were replaced and taught something, or were to be replaced and were not.
    """
    ours = trainer((True, True), (True, False), (False, True), (True, True))
    loss_and_gradient(ours, sample(ours))
    replaced = []
    for _ in range(3):
        batch = sample(ours)
        rows = batch.get("replayed", torch.zeros(2 * G, dtype=torch.bool))
        replaced += [rows[:G].tolist(), rows[G:].tolist()]
    expected = [[gives_way] * G for gives_way in (False, True, True, False, False, False)]
    return sum(rows != all_or_none for rows, all_or_none in zip(replaced, expected, strict=True))


@check("buffer on disk")
def buffer_survives_a_checkpoint() -> float:
    """insert, save, load, draw: the same groups, the same rows

    Greatest difference of what is drawn from a buffer and from its copy on disk; of all fields, in four draws.
    """
    ours = trainer((True, True))
    for _ in range(3):
        loss_and_gradient(ours, sample(ours))
    ours._store_pending()
    buffer, path = ours.replay_buffer, Path(tempfile.mkdtemp(), "buffer.pt")
    buffer.save(str(path))
    copy = ReplayBuffer(buffer.capacity, buffer.max_bytes, buffer.max_age, buffer.max_uses, seed=12345)
    copy.load(str(path))
    measured = []
    for step in range(4):
        for drawn, copied in zip(buffer.draw(2, step), copy.draw(2, step), strict=True):
            if _without_tensors(drawn) != _without_tensors(copied):
                raise CheckFailed("another group is drawn from the copy")
            for row, loaded in zip(drawn.rows, copied.rows, strict=True):
                substantial(row["old_per_token_logps"], "the stored log-probabilities are zero")
                measured.append(difference(map(torch.as_tensor, row.values()), [loaded[key] for key in row]))
    return greatest(measured)


def _without_tensors(group: StoredGroup) -> tuple[float, int, int, int]:
    return group.priority, group.step, group.uses, group.serial


@check("resumed")
def resumed_is_uninterrupted() -> float:
    """a run resumed in the middle of a rollout ends where the uninterrupted one does, buffer and all

    Saved with a full buffer that the rest of the run draws from, while half of a rollout is to be trained on.
    """
    settings = SAVED_IN_A_ROLLOUT | {"max_steps": 5}

    def make(folder: str) -> GRPOWithReplayBufferTrainer:
        kind, config = GRPOWithReplayBufferTrainer, GRPOWithReplayBufferConfig
        return grpo(kind, config, reward=first_group_teaches, output_dir=folder, **settings)

    def stored(run: GRPOWithReplayBufferTrainer) -> Iterator[Tensor]:
        buffer = run.replay_buffer
        if not any(group.uses for group in buffer.groups):
            raise CheckFailed("nothing was compared: no group was replayed")
        yield torch.tensor([(group.priority, group.step, group.uses) for group in buffer.groups])

    return interrupted(make, 3, stored)
