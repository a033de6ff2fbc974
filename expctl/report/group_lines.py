"""The config groups with their options, as lines."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping


def terminal_width() -> int | None:
    """Columns of the terminal; None where something else reads, which wants a line a group."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def group_lines(options: Mapping[str, Collection[str]]) -> list[str]:
    """A line for each group, and several where the terminal is too narrow for one."""
    columns, names = terminal_width(), max(map(len, options))
    lines = []
    for group, listed in options.items():
        line = f"  {group:<{names}}  {', '.join(listed)}"
        room = max(columns, names + 24) if columns else len(line)
        lines += textwrap.wrap(line, room, subsequent_indent=" " * (names + 4), break_on_hyphens=False)
    return lines
