"""Options of a `dataset` group about rows, wherever these lie: what parent and worker make of them. Torch-free."""

from collections.abc import Mapping, Sequence
from typing import Any


def shape_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `peek.shape_of` that a `dataset` group gives."""
    return {
        "kind": options["kind"],
        "columns": dict(options.get("columns") or {}),
        "conversational": bool(options.get("conversational")),
        "system_prompt": options.get("system_prompt"),
    }


def check_row_options(options: Mapping[str, Any]) -> None:
    """Refuse a number of rows that is none, and what a stream cannot have. Raises ValueError: begins with the key."""
    rows = options.get("rows")
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        raise ValueError(f"dataset.rows={rows} is no number of rows to train on; 1 or more is, or null for all.")

    for key in ("deduplicate", "held_out_by"):
        if options.get("streaming") and options.get(key) is not None:
            raise ValueError(
                f"dataset.{key}={options[key]} looks at all rows, and a stream is read as it is trained on.\n"
                "Leave one of the two out"
            )


def check_named_columns(options: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse a column that is named for what is done to whole sets, and is none of `names`.

    Raises:
        ValueError: begins with the key.
    """
    for key in ("deduplicate", "held_out_by"):
        name = options.get(key)
        if name is not None and name not in names:
            existing = ", ".join(dict.fromkeys(names))
            raise ValueError(f"dataset.{key}={name}: no such column. There are: {existing}.")
