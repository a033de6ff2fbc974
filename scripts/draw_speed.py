#!/usr/bin/env python
"""Draw docs/pictures/speed.png: tokens a second by engine and rows, and the seconds of a step by phase.

    python scripts/draw_speed.py

The numbers are in scripts/speed.csv, each as it was measured, with its machine.
"""

import csv
from collections import defaultdict
from pathlib import Path

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
MARKERS = ("o", "s", "^", "D")
COLOURS = ("#000000", "#d55e00", "#56b4e9", "#0072b2")


def panel(name: str) -> dict[str, dict[str, float]]:
    """Series -> x -> value of a panel, in the order of the file."""
    text = Path(__file__).with_name("speed.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line[:1] != "#"]
    series: dict[str, dict[str, float]] = defaultdict(dict)
    for row in csv.DictReader(lines):
        if row["panel"] == name:
            series[row["series"]][row["x"]] = float(row["value"])
    return dict(series)


def main() -> None:
    """Both panels side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (tokens, seconds) = pyplot.subplots(1, 2, figsize=(9.2, 3.4), dpi=110)
    for (name, values), marker, colour in zip(panel("tokens").items(), MARKERS, COLOURS, strict=True):
        tokens.plot([int(x) for x in values], list(values.values()), marker=marker, color=colour, label=name)
    tokens.set(xscale="log", yscale="log", xlabel="rows at once", ylabel="tokens a second", ylim=(30, 80_000))
    tokens.set_title("Qwen3-0.6B on an NVIDIA H200", fontsize=9)
    tokens.set_xticks([16, 128, 512], ["16", "128", "512"])
    tokens.minorticks_off()
    tokens.legend(frameon=False, fontsize=8)

    phases = panel("seconds")
    left = [0.0] * len(next(iter(phases.values())))
    for (name, values), colour in zip(phases.items(), COLOURS[1:], strict=False):
        widths = list(values.values())
        seconds.barh(list(values), widths, left=left, color=colour, label=name, height=0.6)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    seconds.set(xlabel="seconds a step")
    seconds.set_title("SmolLM2-135M, 8 prompts of 8, one core of an AMD EPYC", fontsize=9)
    seconds.invert_yaxis()
    seconds.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (tokens, seconds):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both" if axes is tokens else "x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(PICTURES / "speed.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
