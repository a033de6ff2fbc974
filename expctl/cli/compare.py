"""`expctl compare [RUN|SWEEP|key=value ...]`: from runs to conclusions."""

import shlex
import sys
from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.cli.options import take
from expctl.report.files import refuse_unwritable, write_files
from expctl.report.json_text import json_text

USAGE = (
    "expctl compare [RUN|SWEEP|PATTERN|key=value ...] [--baseline LABEL] [--metric NAME,...] [--excess NAME,...] "
    "[--at tokens=N] [--level 0.95] [--json | --latex] [--plots FOLDER] [--html FILE]"
)


def main(words: list[str]) -> int:
    """Compare, and show; 0 when there is something to show.

    Raises:
        Refusal: nothing is named so, or it was not measured alike.
    """
    valued = ("--baseline", "--at", "--level", "--plots", "--html")
    options, named = take(
        words, flags=("--json", "--latex"), valued=valued, listed=("--metric", "--excess"), usage=USAGE
    )
    plots, page = (Path(options[name]).expanduser() if name in options else None for name in ("--plots", "--html"))
    refuse_unwritable(plots, page)
    # The numeric libraries are for this verb alone.
    from expctl.compare.budget import parse
    from expctl.compare.conclusion import compare_runs
    from expctl.compare.select import select
    from expctl.report.comparison import print_comparison

    selection = select(named)
    comparison = compare_runs(
        selection.folders,
        gone=selection.gone,
        asked=_several(options, "--metric"),
        excess=_several(options, "--excess"),
        baseline=options.get("--baseline", "first"),
        budget=parse(options["--at"]) if "--at" in options else None,
        level=_level(options.get("--level", "0.95")),
    )
    if "--json" in options:
        print(json_text(comparison))
    elif "--latex" in options:
        from expctl.report.latex import latex

        print(latex(comparison))
    else:
        print_comparison(comparison)
    if plots or page:
        # Beside JSON and LaTeX, standard output is for that alone.
        for line in write_files(comparison, plots, page, shlex.join(["expctl", "compare", *words])):
            print(line, file=sys.stderr if {"--json", "--latex"} & options.keys() else sys.stdout)
    return 0


def _several(options: dict[str, str], name: str) -> list[str]:
    return options[name].split(",") if name in options else []


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = 0.0
    if not 0.5 <= level < 1:
        raise Refusal(f"no level '{text}'", where=f"--level {text} (command line)", do="a number such as 0.95")
    return level
