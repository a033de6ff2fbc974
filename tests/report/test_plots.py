"""Pictures: the same as those that were looked at, told apart without colour, the same to the last byte."""

import io
import os
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from PIL import Image
from report import compared

from expctl.compare.curves import records_of
from expctl.report.plots.picture import _figure, inline, write
from expctl.report.plots.pictures import pictures
from expctl.report.plots.style import DASHES, LIGHT, MARKERS, MOST_GROUPS, VARIABLES, styled, wrapped

GOLDEN = Path(__file__).parent / "golden"
# Root of the mean square over all pixels, of 255: letters that another FreeType draws stay below, a missing line does
# not.
TOLERANCE = 6.0
LOOKED_AT = [
    "two-curve-reward",
    "two-reward-against-length",
    "two-final-reward",
    "two-wasted-frac_reward_zero_std",
    "many-curve-completions-mean_length",
    "many-reward-against-length",
    "many-final-reward",
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    found = {}
    for name, make in (("two", compared.two), ("many", compared.many)):
        comparison = make(tmp_path_factory.mktemp(name))
        found |= {f"{name}-{one.name}": one for one in pictures(comparison, records_of(comparison))}
    return found


def small(content: bytes | Path) -> Image.Image:
    image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content).convert("RGB")
    return image.resize((480, round(image.height * 480 / image.width)), Image.Resampling.BOX)


def distance(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:
        return float("inf")
    return float(numpy.sqrt(numpy.mean((numpy.asarray(one, float) - numpy.asarray(other, float)) ** 2)))


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_picture_is_the_one_that_was_looked_at(name, drawn, tmp_path):
    """To keep a new one after looking at it: EXPCTL_KEEP_PICTURES=1 (tests/report/golden/README.md)."""
    png, _ = write(drawn[name], tmp_path)
    kept, image = GOLDEN / f"{name}.png", small(png)
    if os.environ.get("EXPCTL_KEEP_PICTURES"):
        image.quantize(256, kmeans=2).save(kept, optimize=True)
    assert distance(image, Image.open(kept).convert("RGB")) < TOLERANCE


def test_a_picture_that_lacks_a_group_is_not_within_the_tolerance(drawn, tmp_path):
    whole = drawn["two-curve-reward"]
    curves, groups = whole.draw.args
    lacking = replace(
        whole, draw=partial(whole.draw.func, replace(curves, curves=curves.curves[:1]), groups), legend=groups
    )
    png, _ = write(replace(lacking, legend=[]), tmp_path)
    image = Image.open(GOLDEN / "two-curve-reward.png").convert("RGB")
    assert distance(small(png).resize(image.size), image) > TOLERANCE


def test_the_same_comparison_is_drawn_the_same_to_the_last_byte(drawn, tmp_path):
    for name in ("two-curve-reward", "two-reward-against-length"):
        (tmp_path / "again").mkdir(exist_ok=True)
        for one, other in zip(write(drawn[name], tmp_path), write(drawn[name], tmp_path / "again"), strict=True):
            assert one.read_bytes() == other.read_bytes()


def test_groups_are_told_apart_without_colour():
    assert len(set(MARKERS)) == MOST_GROUPS
    looks = list(zip(LIGHT.groups, map(str, DASHES), strict=True))
    assert len(set(looks)) == MOST_GROUPS
    levels = [lightness(colour) for colour in LIGHT.groups]
    for (one, dash), (other, next_dash) in pairwise(zip(levels, DASHES, strict=True)):
        assert dash != next_dash and abs(one - other) >= 0.03


def lightness(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_label_lies_on_another(drawn):
    """Of ten groups with long labels: the names of the rows, the legend, and the ticks."""
    for name in ("many-curve-reward", "many-final-reward", "many-reward-against-length"):
        with styled(LIGHT, text_as_text=False):
            figure = _figure(drawn[name], LIGHT, titled=True)
            axes = figure.axes[0]
            low, high = axes.get_xlim()
            ticks = [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
            texts = [*axes.texts, *ticks, axes.xaxis.label, axes.yaxis.label, *figure.texts]
            texts += [text for legend in figure.legends for text in legend.get_texts()]
            boxes = [text.get_window_extent() for text in texts if text.get_text()]
        overlapping = [
            (one, other)
            for place, one in enumerate(boxes)
            for other in boxes[place + 1 :]
            if one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9))
        ]
        assert not overlapping, name
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes), name


def test_labels_that_matplotlib_would_read_otherwise_are_drawn_as_they_are(drawn, tmp_path):
    odd = replace(drawn["two-curve-reward"], legend=["_reward=$x^2$", "prompt=数学 \\frac{1}{2} " + "long " * 20])
    assert "$x^2$" in inline(odd, "p").svg
    assert len(write(odd, tmp_path)) == 2
    assert wrapped("x" * 100).count("\n") == 2


def test_a_picture_for_a_page_has_the_pages_colours_and_ids_of_its_own(drawn):
    first, second = (inline(drawn["two-curve-reward"], name) for name in ("a", "b"))
    assert "var(--group-1)" in first.svg and not any(colour in first.svg for colour in VARIABLES)
    ids = [set(re.findall(r'\bid="([^"]+)"', one.svg)) for one in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first.svg))
    assert used and {one or other for one, other in used} <= ids[0]


def test_places_to_stop_at_lie_on_what_is_drawn(drawn):
    found = inline(drawn["two-final-reward"], "a")
    assert all(0 < stop.x < found.width and found.top < stop.y < found.bottom for stop in found.stops)
    means = [stop for stop in found.stops if stop.lines[1].startswith("mean")]
    assert [stop.lines[0] for stop in means] == ["algorithm=grpo", "algorithm=gfpo"]
    assert means[0].y < means[1].y
