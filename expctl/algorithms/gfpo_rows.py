"""Scoring of the kept completions, and their distribution over ranks and micro-batches."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from expctl.algorithms.rows import (
    COMPLETION_FIELDS,
    ROW_OR_TOKEN_FIELDS,
    SEQUENCE_FIELDS,
    Batch,
    Row,
    pack,
    round_up,
    select_rows,
    trim,
    unpack,
)

# Log-probabilities `(B, T)`, entropies `(B, T)` where asked for, and the loss of a mixture of experts' router.
Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def score_rows(
    score: Callable[..., Scores],
    indices: list[int],
    model: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    logits_to_keep: int,
    batch_size: int | None,
    multiple: int | None,
    **kwargs: Any,
) -> Scores:
    """`score`, a `_get_per_token_logps_and_entropies`, on the rows `indices` alone, cut to their longest completion.

    At a time it takes their share of `batch_size`: as many rows as a micro-batch of the update has left of these.

    Returns:
        What `score` returns for all rows, `(B, T)`, with NaN in the rows that were left out: upstream keeps NaN out of
        the statistics of its vLLM correction.
    """
    rows = select_rows({"input_ids": input_ids, "attention_mask": attention_mask, **kwargs}, indices)
    longest = int(rows["attention_mask"][:, -logits_to_keep:].sum(1).max())
    width = round_up(longest, multiple, logits_to_keep)
    for key in ("input_ids", "attention_mask", *SEQUENCE_FIELDS):
        if rows.get(key) is not None:
            rows[key] = rows[key][:, : input_ids.size(1) - logits_to_keep + width]
    if batch_size is not None:
        batch_size = -(-batch_size * len(indices) // input_ids.size(0))
    logps, entropies, aux_loss = score(model, logits_to_keep=width, batch_size=batch_size, **rows)

    def spread(values: torch.Tensor) -> torch.Tensor:
        full = values.new_full((input_ids.size(0), logits_to_keep), torch.nan)
        full[indices] = torch.nn.functional.pad(values, (0, logits_to_keep - width))
        return full

    return spread(logps), None if entropies is None else spread(entropies), aux_loss


def share_rows(
    batch: Batch,
    kept: torch.Tensor,
    *,
    accelerator: Accelerator,
    micro_batches: int,
    pad_token_id: int,
    pad_to_multiple_of: int | None = None,
) -> tuple[Batch, float]:
    """The rank's share of the kept rows, and how many rows there are for one that is kept.

    Upstream drops the rows that do not divide into micro-batches, and every rank must have the same number of rows,
    while a group may straddle ranks and k may be odd or differ from group to group. So rows move to other ranks, in
    gathered order, and a share is filled up with rows whose completion is masked and whose advantage is 0.

    Args:
        batch: the rank's scored rows, all of them.
        kept: `(N,)` bool over the rows of all ranks.
        accelerator: for its rank, its number of processes and its device.
        micro_batches: the number of parts the rank's rows will be cut into.
        pad_token_id, pad_to_multiple_of: as in `pack`.

    Returns:
        The batch, a multiple of `micro_batches` rows, the same number on every rank; and the ratio of all its rows
        over ranks, fillers included, to the kept ones (1.0 when no filler was needed).
    """
    rank, world_size = accelerator.process_index, accelerator.num_processes
    counts = kept.view(world_size, -1).sum(1).tolist()
    total = sum(counts)
    shares = [total // world_size + (r < total % world_size) for r in range(world_size)]
    rows_per_rank = -(-max(shares) // micro_batches) * micro_batches
    mine = kept.view(world_size, -1)[rank].nonzero().flatten().tolist()

    if counts == [rows_per_rank] * world_size:
        return trim(select_rows(batch, mine), pad_to_multiple_of), 1.0

    rows = unpack(batch)
    shared = _exchange([rows[i] for i in mine], counts, shares, rank)
    shared += [_filler(rows[0])] * (rows_per_rank - len(shared))
    packed = pack(shared, pad_token_id=pad_token_id, device=accelerator.device, pad_to_multiple_of=pad_to_multiple_of)
    # what belongs to the whole batch is no part of a row
    return {**batch, **packed}, rows_per_rank * world_size / total


def _exchange(rows: list[Row], counts: list[int], shares: list[int], rank: int) -> list[Row]:
    """Rank `r` ends up with the next `shares[r]` rows in gathered order; only rows that change rank travel."""
    owner = [r for r, share in enumerate(shares) for _ in range(share)]
    first = sum(counts[:rank])
    placed = dict(enumerate(rows, start=first))
    travelling = gather_object([(position, row) for position, row in placed.items() if owner[position] != rank])
    placed |= dict(travelling)
    return [placed[position] for position, r in enumerate(owner) if r == rank]


def _filler(row: Row) -> Row:
    """A row that adds nothing to any sum over tokens: upstream itself masks truncated completions this way."""
    # one token will do, unless images in the completion have to be matched
    filler = dict(row) if "pixel_values" in row else {key: _first_token(key, value) for key, value in row.items()}
    # a row that was not scored holds NaN, and NaN times a mask of 0 is still NaN
    for key, value in filler.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            filler[key] = torch.nan_to_num(value)
    filler["completion_mask"] = torch.zeros_like(filler["completion_mask"])
    filler["advantages"] = torch.zeros_like(filler["advantages"])
    filler["sample_index"] = torch.full_like(filler["sample_index"], -1)
    return filler


def _first_token(key: str, value: torch.Tensor | Any) -> torch.Tensor | Any:
    return value[:1] if key in COMPLETION_FIELDS or (key in ROW_OR_TOKEN_FIELDS and value.ndim == 1) else value
