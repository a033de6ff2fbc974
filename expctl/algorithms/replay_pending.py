"""The groups of the last rollout on their way into the replay buffer."""

from dataclasses import dataclass, field

import torch
from accelerate.utils import gather_object

from expctl.algorithms.group_contrast import SampledGroup
from expctl.algorithms.replay_buffer import StoredGroup, compact
from expctl.algorithms.rows import Batch, Row, select_rows, unpack


@dataclass
class PendingGroups:
    """Groups that are worth storing, until their rows' log-probabilities are known.

    Args:
        groups: the same on every rank.
        step: optimizer steps taken when the groups were sampled.
        rows: this rank's rows of the groups, unpadded, on the CPU; the key is the row's position among all ranks' rows.
        captured: of every loss computation since, positions `(B,)` and log-probabilities `(B, T)`.
    """

    groups: list[SampledGroup] = field(default_factory=list)
    step: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    captured: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def copy_rows(self, batch: Batch, positions: list[int], scale: float) -> None:
        """Copy this rank's rows of the groups, before anything is trained on; `scale` multiplies their advantages."""
        wanted = {position for group in self.groups for position in group.positions}
        indices = [i for i, position in enumerate(positions) if position in wanted]
        if not indices:
            return
        for i, row in zip(indices, unpack(select_rows(batch, indices)), strict=True):
            self.rows[positions[i]] = row | {"advantages": row["advantages"] * scale}

    def complete(self) -> list[StoredGroup]:
        """The groups whose rows all have log-probabilities, on the CPU. Collective.

        The first captured log-probabilities of a row count: they are of the policy that wrote it. A row that was never
        trained on has none, and its group is left out.
        """
        for positions, logps in self.captured:
            for position, row_logps in zip(positions.tolist(), logps.float().cpu(), strict=True):
                row = self.rows.get(position)
                if row is not None:
                    row.setdefault("old_per_token_logps", row_logps[: len(row["completion_ids"])].clone())
        scored = [(position, compact(row)) for position, row in self.rows.items() if "old_per_token_logps" in row]
        rows = dict(gather_object(scored))
        return [
            StoredGroup([rows[position] for position in group.positions], group.rewards, group.contrast, self.step)
            for group in self.groups
            if all(position in rows for position in group.positions)
        ]
