"""A bounded store of whole rollout groups, and the draw from it."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import torch

from expctl.algorithms.rollout_checkpoint import write_state
from expctl.algorithms.rows import Batch, Row

FORMAT = 1
# Fields of a row that hold for the batch it came in only: the reference model may move, places change.
OF_THE_MOMENT = ("ref_per_token_logps", "sample_index")


@dataclass
class StoredGroup:
    """The k completions of one prompt, as the policy of `step` wrote them.

    Args:
        rows: k rows, unpadded, on the CPU (see `compact`); `old_per_token_logps` are under the policy of `step`.
        rewards: `(k, number of reward functions)`, raw, NaN where a function returned None.
        priority: what the draw is proportional to; above zero.
        step: optimizer steps taken when the group was sampled.
        uses: how often it was replayed.
        serial: number of groups added before it; breaks ties of priority in favour of the younger one.
    """

    rows: list[Row]
    rewards: torch.Tensor
    priority: float
    step: int
    uses: int = 0
    serial: int = -1

    @cached_property
    def layout(self) -> dict[str, int]:
        """Number of dimensions of every field of its rows."""
        return {key: value.ndim for key, value in self.rows[0].items()}

    @cached_property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return self.rewards.nbytes + sum(value.nbytes for row in self.rows for value in row.values())


class ReplayBuffer:
    """The `capacity` best groups by (priority, recency), never more than `max_bytes` bytes of tensors.

    Drawn with probability proportional to priority, without replacement, by a generator of its own, so that neither
    its presence nor its content moves any other random number. Drawing counts as a use; a group leaves after
    `max_uses` uses or once it is older than `max_age` steps. Groups hold CPU tensors only.

    Args:
        capacity: groups.
        max_bytes: bytes. A group that alone is larger is not taken.
        max_age: optimizer steps between sampling and replay.
        max_uses: replays of one group.
        seed: of the draw.
    """

    def __init__(self, capacity: int, max_bytes: int, max_age: int, max_uses: int, seed: int):
        self.capacity = capacity
        self.max_bytes = max_bytes
        self.max_age = max_age
        self.max_uses = max_uses
        self.groups: list[StoredGroup] = []
        self.nbytes = 0
        self._added = 0
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.groups)

    def would_keep(self, priority: float) -> bool:
        """Whether a group of this priority gets in as far as the count decides; equal to the lowest is enough."""
        return self.capacity > 0 and (
            len(self.groups) < self.capacity or priority >= min(group.priority for group in self.groups)
        )

    def add(self, group: StoredGroup) -> None:
        """Take a group in and evict the lowest by (priority, recency) until both bounds hold."""
        group.serial, self._added = self._added, self._added + 1
        self.groups.append(group)
        self.nbytes += group.nbytes
        while len(self.groups) > self.capacity or self.nbytes > self.max_bytes:
            self._remove(min(self.groups, key=lambda stored: (stored.priority, stored.serial)))

    def expire(self, step: int) -> None:
        """Drop the groups that are older than `max_age` at `step`."""
        for group in [group for group in self.groups if step - group.step > self.max_age]:
            self._remove(group)

    def draw(
        self, count: int, step: int, fits: Callable[[StoredGroup], bool] = lambda group: True
    ) -> list[StoredGroup]:
        """Up to `count` different groups among those that `fits` accepts, none older than `max_age` at `step`."""
        self.expire(step)
        candidates = [group for group in self.groups if fits(group)]
        count = min(count, len(candidates))
        if count == 0:
            return []
        priorities = torch.tensor([group.priority for group in candidates], dtype=torch.float64)
        chosen = torch.multinomial(priorities, count, generator=self._generator).tolist()
        drawn = [candidates[i] for i in chosen]
        for group in drawn:
            group.uses += 1
            if group.uses >= self.max_uses:
                self._remove(group)
        return drawn

    def _remove(self, group: StoredGroup) -> None:
        self.groups = [stored for stored in self.groups if stored is not group]
        self.nbytes -= group.nbytes

    def save(self, path: str) -> None:
        """Write groups and generator to one file, which is complete or absent."""
        plain = [field.name for field in fields(StoredGroup) if field.name not in ("rows", "rewards")]
        rows = [row for group in self.groups for row in group.rows]
        names = sorted({key for row in rows for key in row})
        state = {
            "format": FORMAT,
            "added": self._added,
            "generator": self._generator.get_state(),
            "groups": [{name: getattr(group, name) for name in plain} for group in self.groups],
            "sizes": [len(group.rows) for group in self.groups],
            "rewards": _flatten([group.rewards for group in self.groups]),
            "keys": [list(row) for row in rows],
            # One tensor a field: a file of many thousand small tensors takes seconds to write and to read.
            "values": {key: _flatten([row[key] for row in rows if key in row]) for key in names},
        }
        write_state(state, path)

    def load(self, path: str) -> None:
        """Take the place of the buffer that was saved; what exceeds this one's bounds is evicted.

        Raises:
            ValueError: if the file is of another format. Only tensors and plain values are unpickled.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state.get("format") != FORMAT:
            raise ValueError(f"{path} holds a replay buffer of format {state.get('format')}; expected is {FORMAT}.")
        values = {key: iter(_unflatten(*flat)) for key, flat in state["values"].items()}
        rows = iter([{key: next(values[key]) for key in keys} for keys in state["keys"]])
        self.groups, self.nbytes = [], 0
        for plain, size, rewards in zip(state["groups"], state["sizes"], _unflatten(*state["rewards"]), strict=True):
            group = StoredGroup([next(rows) for _ in range(size)], rewards, **plain)
            serial = group.serial
            self.add(group)
            group.serial = serial
        self._added = state["added"]
        self._generator.set_state(state["generator"])


def compact(row: Row) -> Row:
    """A row as it is stored: without the fields of the moment, whole numbers in four bytes instead of eight."""
    kept = {key: value for key, value in row.items() if key not in OF_THE_MOMENT}
    return {key: value.to(torch.int32) if value.dtype == torch.int64 else value for key, value in kept.items()}


def expand(stored: Row, fresh: Row) -> Row:
    """The stored row with the fields and types of the row that it replaces; what is not stored of it is zero."""
    row = {}
    for key, value in fresh.items():
        if key in stored:
            row[key] = stored[key].to(value.dtype)
        else:
            row[key] = value.new_zeros(len(stored["completion_ids"]) if value.ndim else ())
    return row | {"old_per_token_logps": stored["old_per_token_logps"]}


def layout(batch: Batch) -> dict[str, int]:
    """Number of dimensions of every field that a row of this batch would be stored with."""
    fields = {key: value.ndim - 1 for key, value in batch.items() if value.ndim and key not in OF_THE_MOMENT}
    return fields | {"old_per_token_logps": 1}


def _flatten(tensors: list[torch.Tensor]) -> tuple[torch.Tensor, list[list[int]]]:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]) if tensors else torch.empty(0)
    return flat, [list(tensor.shape) for tensor in tensors]


def _unflatten(flat: torch.Tensor, shapes: list[list[int]]) -> list[torch.Tensor]:
    sizes = [torch.Size(shape).numel() for shape in shapes]
    return [part.reshape(shape).clone() for part, shape in zip(flat.split(sizes), shapes, strict=True)]
