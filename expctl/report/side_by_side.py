"""Completions of one prompt next to each other, a column each."""

import textwrap
from itertools import zip_longest
from typing import Any

from expctl.base.printable import printable
from expctl.report.number import rounded

NARROWEST = 24
BETWEEN = "  "


def side_by_side(prompt: str, of_each: dict[str, list[dict[str, Any]]], width: int) -> list[str]:
    """Lines: the prompt, then the completions of each model in as many columns as the width has room for.

    Args:
        prompt: its text.
        of_each: name of a model -> its completions, each with `text`, `tokens`, `ended` and `rewards`.
        width: of the terminal, in characters.
    """
    several = len(of_each) > 1
    named = [[(name if several else "", one) for one in completions] for name, completions in of_each.items()]
    # The first of each model, the second of each, ...
    cells = [cell for of_a_turn in zip(*named, strict=True) for cell in of_a_turn]
    abreast = max(1, min(len(cells), (width + len(BETWEEN)) // (NARROWEST + len(BETWEEN))))
    if len(of_each) < abreast < len(cells):
        abreast -= abreast % len(of_each)
    room = (width - len(BETWEEN) * (abreast - 1)) // abreast
    lines = [*_wrapped(prompt, width), ""]
    for first in range(0, len(cells), abreast):
        columns = [_cell(name, one, room) for name, one in cells[first : first + abreast]]
        for row in zip_longest(*columns, fillvalue=""):
            lines.append(BETWEEN.join(f"{part:<{room}}" for part in row).rstrip())
        lines.append("")
    return lines


def _cell(name: str, completion: dict[str, Any], room: int) -> list[str]:
    """The model, what was said, and below it the rewards and the length."""
    rewards = [f"{reward} {rounded(value)}" for reward, value in completion["rewards"].items()]
    cut = "" if completion["ended"] else ", cut off"
    note = ", ".join([*rewards, f"{completion['tokens']} tokens{cut}"])
    heading = _wrapped(name, room) if name else []
    return [*heading, *_wrapped(completion["text"].strip() or "(nothing)", room), *_wrapped(f"[{note}]", room)]


def _wrapped(text: str, room: int) -> list[str]:
    lines = [printable(line) for line in text.splitlines()]
    return [part for line in lines for part in (textwrap.wrap(line, room, break_on_hyphens=False) or [""])]
