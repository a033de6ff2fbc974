"""Numbers as people read them."""

import math
from typing import Any

from expctl.base.plain_data import mapping
from expctl.runs.filters import is_number


def rounded(value: Any, digits: int = 4) -> str:
    """`0.1235`, and `none` for what is no number."""
    return f"{value:.{digits}g}" if is_number(value) else "none"


def no_objective(summary: Any) -> str | None:
    """Why a summary has no objective; None where it has one."""
    told = mapping(summary)
    if is_number(told.get("objective")) and math.isfinite(told["objective"]):
        return None
    why = told.get("no_objective")
    return why if isinstance(why, str) else "it was not measured"
