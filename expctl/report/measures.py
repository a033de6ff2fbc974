"""The numbers of a kept completion: its rewards, its length and how it ended, beside those of an earlier one."""

from typing import Any

from expctl.base.plain_data import is_number, mapping
from expctl.report.number import rounded

Row = dict[str, Any]


def measures(row: Row, earlier: Row | None) -> str:
    """Rewards and length of a completion, each with what it was before where it is another."""
    before = numbers(earlier) if earlier else {}
    parts = []
    for name, value in numbers(row).items():
        was = f" (was {rounded(before[name])})" if name in before and before[name] != value else ""
        parts.append(f"{name} {rounded(value)}{was}")
    return ", ".join([*parts, *ending_of(row)])


def numbers(row: Row) -> dict[str, float | None]:
    """Reward function -> reward, None where it gave none; and the length in characters."""
    rewards = mapping(row.get("rewards"))
    numbers = {name: value for name, value in rewards.items() if value is None or is_number(value)}
    return {**numbers, "characters": len(row["completion"])}


def ending_of(sample: dict[str, Any]) -> list[str]:
    """What is to be said of how a kept completion ended; nothing of one that ended by itself."""
    if sample.get("truncated") is True:
        return ["cut off"]
    return ["reasoning not closed"] if sample.get("unfinished") is True else []
