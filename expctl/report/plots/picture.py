"""A picture, and its two renderings: files, and the page's own SVG with points to stop at."""

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expctl.base.printable import printable, shortened
from expctl.report.plots.style import (
    CAPTION_ROW,
    CAPTION_WIDTH,
    HEIGHT,
    LEGEND_ROW,
    LIGHT,
    PAGE,
    PAGE_WIDTH,
    VARIABLES,
    WIDTH,
    Theme,
    lines_of,
    styled,
    wrapped,
)

# Characters of a caption; beyond, it would be more of the picture than what is drawn.
MOST_CAPTION = 1000


@dataclass(frozen=True)
class Stop:
    """A point at which a reader may ask for values, in the picture's data; without `y` a whole step."""

    x: float
    y: float | None
    lines: list[str]


@dataclass(frozen=True)
class Picture:
    """`draw` puts everything onto an axes; `legend` are the groups that are told apart by line and marker."""

    name: str
    title: str
    caption: str
    draw: Callable[[Any, Theme], None]
    stops: list[Stop]
    legend: list[str] = field(default_factory=list)
    height: float = HEIGHT


@dataclass(frozen=True)
class Inline:
    """SVG for a page; its axes reach from `top` to `bottom`, and `stops` lie, in the units of its view box."""

    svg: str
    width: float
    height: float
    top: float
    bottom: float
    stops: list[Stop]


def write(picture: Picture, folder: Path) -> list[Path]:
    """The picture as PNG (200 dots per inch) and SVG.

    Raises:
        OSError: the folder cannot be written.
    """
    paths = [folder / f"{picture.name}.{kind}" for kind in ("png", "svg")]
    with styled(LIGHT, text_as_text=False):
        figure = _figure(picture, LIGHT, titled=True)
        figure.savefig(paths[0], dpi=200, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None, "Title": printable(picture.title)})
    return paths


def inline(picture: Picture, prefix: str) -> Inline:
    """The picture for a page with the page's own colours; `prefix` keeps its ids apart from those of other pictures."""
    with styled(PAGE, text_as_text=True):
        figure = _figure(picture, PAGE, titled=False)
        axes = figure.axes[0]
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        width, height = (size * 72 for size in figure.get_size_inches())
        stops = [_in_view_box(stop, axes, height) for stop in picture.stops]
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub("|".join(VARIABLES), lambda match: f"var({VARIABLES[match[0]]})", svg)
    opening = rf'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true" focusable="false">'
    svg = re.sub(r"<svg [^>]*>", opening, svg, count=1)
    # The page says for its plots alone what this says for the whole page (page.css).
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    extent = axes.get_window_extent()
    return Inline(svg, width, height, round(height - extent.y1, 1), round(height - extent.y0, 1), stops)


def _figure(picture: Picture, theme: Theme, *, titled: bool) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    caption = textwrap.wrap(printable(shortened(picture.caption, MOST_CAPTION)), CAPTION_WIDTH) if titled else []
    above = 0.34 + CAPTION_ROW * len(caption) if titled else 0.0
    height = picture.height + LEGEND_ROW * lines_of(picture.legend) + above
    width = WIDTH if titled else PAGE_WIDTH
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - above / height))
    figure = Figure(figsize=(width, height), dpi=72, layout=layout, facecolor=theme.background or "none")
    axes = figure.add_subplot(facecolor=theme.background or "none")
    picture.draw(axes, theme)
    if titled:
        figure.text(0.02, 1 - 0.08 / height, printable(picture.title), va="top", fontsize=11, fontweight="bold")
        figure.text(0.02, 1 - 0.31 / height, "\n".join(caption), va="top", fontsize=8, color=theme.muted)
    if picture.legend:
        _add_legend(picture.legend, figure, axes)
    # Laid out once, not again in each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _add_legend(groups: list[str], figure: Any, axes: Any) -> None:
    """Below the axes, in the order of the groups: what is drawn begins its name with its number."""
    handles, names = axes.get_legend_handles_labels()
    order = sorted(zip(names, handles, strict=True), key=lambda pair: int(pair[0].split()[0]))
    # matplotlib leaves out what begins with an underscore.
    labels = [f" {label}" if label.startswith("_") else label for label in map(wrapped, groups)]
    figure.legend([handle for _, handle in order], labels, loc="outside lower left", ncols=1)


def _in_view_box(stop: Stop, axes: Any, height: float) -> Stop:
    x, y = axes.transData.transform((stop.x, axes.get_ylim()[0] if stop.y is None else stop.y))
    return Stop(round(float(x), 1), None if stop.y is None else round(height - float(y), 1), stop.lines)
