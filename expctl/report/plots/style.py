"""How pictures look: told apart without colour, and the same to the last byte whenever they are drawn."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from expctl.base.printable import printable, shortened

# Inches. A page's pictures are narrower, to be readable on a telephone.
WIDTH, PAGE_WIDTH, HEIGHT = 4.8, 4.1, 3.1
LEGEND_ROW, CAPTION_ROW = 0.19, 0.15
LABEL_WIDTH, CAPTION_WIDTH = 46, 85
MOST_LABEL = 400
# Beyond, neither colours nor shapes are told apart.
MOST_GROUPS = 10
DASHES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    "-",
    (0, (8, 3)),
    (0, (2, 2)),
    (0, (9, 2, 2, 2)),
    (0, (1, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


@dataclass(frozen=True)
class Theme:
    """Colours of text, axes and groups; `background` None is transparent."""

    ink: str
    muted: str
    grid: str
    background: str | None
    groups: tuple[str, ...]


# Okabe and Ito, Color Universal Design (2008), in an order in which neighbours differ in lightness. Three repeat with
# other dashes and markers.
_OKABE_ITO = ("#000000", "#d55e00", "#56b4e9", "#0072b2", "#cc79a7", "#009e73", "#e69f00")
LIGHT = Theme(
    ink="#111111",
    muted="#555555",
    grid="#dddddd",
    background="#ffffff",
    groups=(*_OKABE_ITO, *_OKABE_ITO[:3]),
)
# Names of the page's own colours (page.css), which follow the reader's wish for light or dark; hexadecimal numbers that
# stand for them are all that matplotlib takes.
VARIABLES = {"#010101": "--ink", "#010102": "--muted", "#010103": "--grid"} | {
    f"#0102{number:02x}": f"--group-{number}" for number in range(MOST_GROUPS)
}
PAGE = Theme("#010101", "#010102", "#010103", None, tuple(list(VARIABLES)[3:]))


_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": False,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 3.2,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "svg.hashsalt": "expctl",
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def styled(theme: Theme, *, text_as_text: bool) -> Iterator[None]:
    """matplotlib's settings for pictures of ours; the user's own are left aside."""
    import warnings

    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        for key, value in (_SETTINGS | _colours(theme)).items():
            matplotlib.rcParams[key] = value  # type: ignore[index] # typed as one of 300 literals
        matplotlib.rcParams["svg.fonttype"] = "none" if text_as_text else "path"
        # A label may have letters that the font has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _colours(theme: Theme) -> dict[str, Any]:
    inks = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    muted = ("axes.edgecolor", "xtick.color", "ytick.color")
    return dict.fromkeys(inks, theme.ink) | dict.fromkeys(muted, theme.muted) | {"grid.color": theme.grid}


def wrapped(label: str) -> str:
    """A group's label on as many lines as it needs."""
    label = shortened(printable(label), MOST_LABEL)
    return "\n".join(textwrap.wrap(label, LABEL_WIDTH, break_on_hyphens=False)) or label


def lines_of(labels: list[str]) -> int:
    """How many lines these labels take below each other."""
    return sum(wrapped(label).count("\n") + 1 for label in labels)
