"""What data say of completions and of steps: wanted or not, right or wrong. Torch-free."""

from typing import Any

_WORDS = {"true": True, "false": False, "1": True, "0": False}


def label(cell: Any) -> bool:
    """Whether a completion is wanted: true or false, 1 or 0, or these as texts, as CSV has them.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(cell, bool):
        return cell
    known = _WORDS.get(str(cell).strip().lower()) if isinstance(cell, int | float | str) else None
    if known is None and cell in (0.0, 1.0):
        known = bool(cell)
    if known is None:
        raise ValueError(f"column 'label' holds {cell!r:.60}; it must hold true or false: whether it is wanted")
    return known


def steps(completions: Any, labels: Any) -> dict[str, Any]:
    """The steps of a solution and whether each is right, one label a step.

    Raises:
        ValueError: they are no lists of texts and of labels, or not as many.
    """
    if not isinstance(completions, list) or not all(isinstance(step, str) for step in completions):
        raise ValueError(f"column 'completions' holds {completions!r:.60}; it must hold lists of texts, the steps")
    if not isinstance(labels, list) or len(labels) != len(completions):
        raise ValueError(f"column 'labels' holds {labels!r:.60}; it must hold as many labels as there are steps")
    return {"completions": completions, "labels": [label(each) for each in labels]}
