"""Numbers as people read them."""

from typing import Any

from expctl.runs.filters import is_number


def rounded(value: Any, digits: int = 4) -> str:
    """`0.1235`, and `none` for what is no number."""
    return f"{value:.{digits}g}" if is_number(value) else "none"
