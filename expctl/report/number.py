"""Numbers as people read them."""

import math
from typing import Any

from expctl.base.plain_data import is_number
from expctl.runs.records import Summary


def rounded(value: Any, digits: int = 4) -> str:
    """`0.1235`, and `none` for what is no number."""
    return f"{value:.{digits}g}" if is_number(value) else "none"


def no_objective(summary: Summary) -> str | None:
    """Why a summary has no objective; None where it has one."""
    if summary.objective is not None and math.isfinite(summary.objective):
        return None
    return summary.no_objective or "it was not measured"
