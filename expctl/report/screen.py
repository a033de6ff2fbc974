"""The terminal as rich draws on it: styles are ours alone, whatever a text says."""

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment

from expctl.base.printable import filtered, printable, unfiltered


class Screen(Console):
    """A console without markup, highlighting or emoji, which makes printable what it renders.

    rich writes escape sequences of its own, so it writes below the filter of the process (`expctl.base.printable`).

    Args:
        out: where to; standard output unless it is given.
        width: in columns, where the output is no terminal.
    """

    def __init__(self, out: TextIO | None = None, width: int | None = None):
        stream = unfiltered(out or sys.stdout)
        super().__init__(
            file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else width
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def start_live(out: TextIO | None = None, refresh_per_second: int = 8) -> Live:
    """A part of the screen that is drawn again and again until `stop`; what is printed meanwhile stands above it."""
    live = Live(console=Screen(out), refresh_per_second=refresh_per_second, transient=True)
    live.start()
    # While it is live, rich stands in for the two streams, and would obey the escape sequences in what is printed.
    sys.stdout, sys.stderr = filtered(sys.stdout), filtered(sys.stderr)
    return live
