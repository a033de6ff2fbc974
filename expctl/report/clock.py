"""Seconds as people read them."""


def clock(seconds: float) -> str:
    """`2:05` or `1:02:05`; never less than nothing (a clock may have been set back)."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
