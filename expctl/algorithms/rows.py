"""Rows of a scored batch: take some, cut the padding, take a batch apart on the CPU and put one together.

What `GRPOTrainer._generate_and_score_completions` returns is a dict of tensors padded to the longest prompt and the
longest completion of the rank. Filtering, spreading rows over ranks and replaying stored groups all need single rows
of it, so this is the one place that knows which field is laid out how:

| field | shape | layout |
|---|---|---|
| `prompt_ids`, `prompt_mask` | `(B, P)` | left-padded |
| `completion_ids`, `completion_mask`, `tool_mask`, `*_per_token_logps` | `(B, T)` | right-padded |
| `advantages`, `importance_sampling_ratio` | `(B,)`, `(B, 1)` or `(B, T)` | right-padded when `(B, T)` |
| `token_type_ids`, `mm_token_type_ids` | `(B, P + T)` | both |
| `pixel_values`, `image_grid_thw`, ... | images, tiles or patches | grouped by `num_images` / `num_tiles` |
| `num_items_in_batch` | `()` | one value for the whole generation batch, never part of a row |

Any other tensor of `B` rows is carried along unchanged.
"""

from typing import Any

import torch
from trl.trainer.utils import pad, split_pixel_values_by_grid, unsplit_pixel_values_by_grid

# Tensors; image fields may also be lists, or None.
Batch = dict[str, torch.Tensor | Any]
# Tensors, and whole numbers where the batch has a list of them (`num_images`).
Row = dict[str, torch.Tensor | Any]

PROMPT_FIELDS = ("prompt_ids", "prompt_mask")
COMPLETION_FIELDS = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
)
ROW_OR_TOKEN_FIELDS = ("advantages", "importance_sampling_ratio")
SEQUENCE_FIELDS = ("token_type_ids", "mm_token_type_ids")
IMAGE_FIELDS = (
    "pixel_values",
    "image_grid_thw",
    "image_position_ids",
    "pixel_attention_mask",
    "spatial_shapes",
    "image_sizes",
)

# What upstream writes where there is no token: a tool mask of 1 is neutral because it multiplies a completion mask of
# 0, a ratio of 1 because VESPO sums the log ratio over the padding too.
_PADDING = {"tool_mask": 1, "importance_sampling_ratio": 1}


def select_rows(batch: Batch, indices: list[int]) -> Batch:
    """The rows `indices` of a batch, in that order, images included; padding and 0-dimensional fields are kept.

    Works on any dict whose fields have `B` rows, so also on the keyword arguments of a forward pass. With `num_images`
    absent every image field must have one entry a row.
    """

    def take(value: torch.Tensor | Any) -> torch.Tensor | Any:
        if isinstance(value, list):
            return [value[i] for i in indices]
        if isinstance(value, torch.Tensor) and value.ndim > 0:
            return value[torch.tensor(indices, dtype=torch.long, device=value.device)]
        return value

    return unsplit_pixel_values_by_grid({key: take(value) for key, value in _split_images(batch).items()})


def trim(batch: Batch, pad_to_multiple_of: int | None = None) -> Batch:
    """Cut the columns that are padding in every row: on the left of the prompts, on the right of the completions.

    The widths stay multiples of `pad_to_multiple_of`. At least one column of each remains.
    """
    prompt_width, completion_width = batch["prompt_ids"].size(1), batch["completion_ids"].size(1)
    prompt = round_up(int(batch["prompt_mask"].sum(1).max()), pad_to_multiple_of, prompt_width)
    completion = round_up(int(batch["completion_mask"].sum(1).max()), pad_to_multiple_of, completion_width)
    trimmed = dict(batch)
    for key, value in batch.items():
        if key in PROMPT_FIELDS:
            trimmed[key] = value[:, prompt_width - prompt :]
        elif key in SEQUENCE_FIELDS:
            trimmed[key] = value[:, prompt_width - prompt : prompt_width + completion]
        elif key in COMPLETION_FIELDS or (key in ROW_OR_TOKEN_FIELDS and value.ndim == 2):
            trimmed[key] = value[:, :completion]  # a (B, 1) field keeps its only column
    return trimmed


def unpack(batch: Batch) -> list[Row]:
    """Take a batch apart into rows on the CPU, each holding copies of its own unpadded values and nothing else.

    A field of a row is 1-dimensional when it is laid out by token, and an image field keeps a leading dimension, so
    that `pack` can concatenate. A completion that upstream masked whole (`mask_truncated_completions`) contributes to
    no loss; one masked token of it is kept. Fields without rows (`num_items_in_batch`) are left out.
    """
    batch = {key: _to_cpu(value) for key, value in _split_images(batch).items() if not _is_batch_level(value)}
    prompts = batch["prompt_mask"].sum(1).tolist()
    completions = batch["completion_mask"].sum(1).clamp(min=1).tolist()
    prompt_width, completion_width = batch["prompt_ids"].size(1), batch["completion_ids"].size(1)

    def own(key: str, value: torch.Tensor | Any, i: int) -> torch.Tensor | Any:
        if key in PROMPT_FIELDS:
            piece = value[i, prompt_width - prompts[i] :]
        elif key in SEQUENCE_FIELDS:
            piece = value[i, prompt_width - prompts[i] : prompt_width + completions[i]]
        elif key in COMPLETION_FIELDS or (key in ROW_OR_TOKEN_FIELDS and value[i].shape == (completion_width,)):
            piece = value[i, : completions[i]]
        elif key in IMAGE_FIELDS and isinstance(value, torch.Tensor):
            piece = value[i : i + 1]
        else:
            piece = value[i]
        # a slice is a view that would keep the whole padded batch alive
        return piece.clone() if isinstance(piece, torch.Tensor) else piece

    return [{key: own(key, value, i) for key, value in batch.items()} for i in range(len(prompts))]


def pack(
    rows: list[Row],
    *,
    pad_token_id: int,
    device: torch.device | str = "cpu",
    pad_to_multiple_of: int | None = None,
) -> Batch:
    """Put rows together to a batch laid out as upstream lays it out, padded to their own longest prompt and completion.

    The inverse of `unpack` on everything that is not padding. The caller adds `num_items_in_batch`.

    Raises:
        ValueError: if `rows` is empty, or if the rows do not all hold the same fields (rows of different batches, one
            scored with a reference model or by vLLM and the other not): the caller has to fill in what is missing.
    """
    if not rows:
        raise ValueError("pack needs at least one row")
    for row in rows:
        if row.keys() != rows[0].keys():
            different = sorted(row.keys() ^ rows[0].keys())
            raise ValueError(f"rows of one batch must hold the same fields; some lack {', '.join(different)}")

    def lay_out(key: str) -> torch.Tensor | Any:
        values = [row[key] for row in rows]
        if key in PROMPT_FIELDS:
            return pad(values, _padding(key, pad_token_id), "left", pad_to_multiple_of)
        if key in COMPLETION_FIELDS or (key in ROW_OR_TOKEN_FIELDS and any(v.ndim and len(v) > 1 for v in values)):
            return pad(values, _padding(key, pad_token_id), "right", pad_to_multiple_of)
        if key in SEQUENCE_FIELDS:
            return _pad_sequences(rows, values, pad_to_multiple_of)
        if key in IMAGE_FIELDS:
            return torch.cat(values)
        return torch.stack(values) if isinstance(values[0], torch.Tensor) else values

    batch = {key: lay_out(key) for key in rows[0]}
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def round_up(width: int, multiple: int | None, limit: int | None = None) -> int:
    """At least 1, the next multiple of `multiple` if there is one, at most `limit` if there is one."""
    width = max(width, 1)
    if multiple:
        width = -(-width // multiple) * multiple
    return width if limit is None else min(width, limit)


def _pad_sequences(rows: list[Row], values: list[torch.Tensor], multiple: int | None) -> torch.Tensor:
    """`(B, P + T)`: values of prompt and completion, so that the completions begin in one column."""
    prompt_width = round_up(max(len(row["prompt_ids"]) for row in rows), multiple)
    completion_width = round_up(max(len(row["completion_ids"]) for row in rows), multiple)
    full = values[0].new_zeros(len(rows), prompt_width + completion_width)
    for i, value in enumerate(values):
        start = prompt_width - len(rows[i]["prompt_ids"])
        full[i, start : start + len(value)] = value
    return full


def _split_images(batch: Batch) -> Batch:
    """One entry a row in every image field that `num_images` or `num_tiles` groups."""
    if batch.get("pixel_values") is None or batch.get("num_images") is None:
        return batch
    return split_pixel_values_by_grid({key: value for key, value in batch.items() if value is not None})


def _is_batch_level(value: torch.Tensor | Any) -> bool:
    return value is None or (isinstance(value, torch.Tensor) and value.ndim == 0)


def _to_cpu(value: torch.Tensor | Any) -> torch.Tensor | Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    return [item.detach().cpu() if isinstance(item, torch.Tensor) else item for item in value]


def _padding(key: str, pad_token_id: int) -> int:
    return pad_token_id if key in ("prompt_ids", "completion_ids") else _PADDING.get(key, 0)
