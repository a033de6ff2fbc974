"""The page's plots: pictures that are complete without JavaScript, and the points at which it shows values."""

import json
from collections.abc import Sequence

from expctl.report.page.markup import Markup, section, table, tag
from expctl.report.plots.picture import Inline, Picture, Stop, inline

# Rows of a table of values; a curve has more steps than anybody reads.
MOST_ROWS = 24


def plots(pictures: Sequence[Picture]) -> tuple[Markup, Markup]:
    """The section, and the data for its JavaScript."""
    drawn = [inline(picture, f"plot{number}") for number, picture in enumerate(pictures)]
    figures = [_figure(number, picture, drawn[number]) for number, picture in enumerate(pictures)]
    content = [tag("p", "Nothing was logged that could be drawn.")]
    if figures:
        hint = "Point at a plot, or focus it and use the arrow keys, for its values."
        content = [tag("p", hint, class_="with-script"), tag("div", *figures, class_="plots")]
    return section("plots", "Plots", *content), _data(drawn)


def _figure(number: int, picture: Picture, drawn: Inline) -> Markup:
    name = f"plot{number}-title"
    plot = tag("div", Markup(drawn.svg), class_="plot", id=f"plot{number}", role="img", aria_labelledby=name)
    caption = tag("figcaption", tag("strong", picture.title, id=name), " ", tag("span", picture.caption))
    return tag("figure", caption, plot, _values(picture))


def _values(picture: Picture) -> Markup:
    """The same values for who does not see the picture, or prints it."""
    stops = _some(picture.stops)
    rows = [(stop.lines[0], "; ".join(stop.lines[1:])) for stop in stops]
    more = f", {len(stops)} of {len(picture.stops)} places" if len(stops) < len(picture.stops) else ""
    values = table(f"{picture.title}{more}", ["at", "value"], rows)
    return tag("details", tag("summary", "Values as a table"), values)


def _some(stops: list[Stop]) -> list[Stop]:
    if len(stops) <= MOST_ROWS:
        return stops
    return [stops[round(row * (len(stops) - 1) / (MOST_ROWS - 1))] for row in range(MOST_ROWS)]


def _data(drawn: Sequence[Inline]) -> Markup:
    content = []
    for plot in drawn:
        sizes = {"width": plot.width, "height": plot.height, "top": plot.top, "bottom": plot.bottom}
        content.append(sizes | {"stops": [[stop.x, stop.y, stop.lines] for stop in plot.stops]})
    # No text may end the element or begin another.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return Markup(f'<script type="application/json" id="values">{text}</script>')
