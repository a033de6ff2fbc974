"""`expctl compare [RUN|SWEEP|key=value ...]`: from runs to conclusions."""

import json
import shlex
import sys
from pathlib import Path

from expctl.config.refusal import Refusal
from expctl.report.files import refuse_unwritable, write_files

USAGE = (
    "expctl compare [RUN|SWEEP|PATTERN|key=value ...] [--baseline LABEL] [--metric NAME,...] [--level 0.95] [--json] "
    "[--plots FOLDER] [--html FILE]"
)
_VALUED = ("--baseline", "--metric", "--level", "--plots", "--html")


def main(words: list[str]) -> int:
    """Compare, and show; 0 when there is something to show.

    Raises:
        Refusal: nothing is named so, or it was not measured alike.
    """
    named, options = _parse(words)
    plots, page = (
        Path(values[-1]).expanduser() if (values := options[name]) else None for name in ("--plots", "--html")
    )
    refuse_unwritable(plots, page)
    # The numeric libraries are for this verb alone.
    from expctl.compare.comparison import plain
    from expctl.compare.conclude import conclude
    from expctl.compare.select import select
    from expctl.report.comparison import print_comparison

    selection = select(named)
    comparison = conclude(
        selection.folders,
        gone=selection.gone,
        asked=options["--metric"],
        baseline=(options["--baseline"] or ["first"])[-1],
        level=_level((options["--level"] or ["0.95"])[-1]),
    )
    if options["--json"]:
        print(json.dumps(plain(comparison), indent=2, ensure_ascii=False))
    else:
        print_comparison(comparison)
    if plots or page:
        # Beside JSON, standard output is for that alone.
        for line in write_files(comparison, plots, page, shlex.join(["expctl", "compare", *words])):
            print(line, file=sys.stderr if options["--json"] else sys.stdout)
    return 0


def _parse(words: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words that name runs, and the values of each option, which may come several times."""
    named: list[str] = []
    options: dict[str, list[str]] = {name: [] for name in (*_VALUED, "--json")}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            named.append(word)
        elif word == "--json":
            options["--json"].append(word)
        elif name not in _VALUED:
            from expctl.config.suggest import nearest

            raise Refusal(
                f"no option '{name}'", where=f"{word} (command line)", nearest=nearest(name, options), do=USAGE
            )
        elif not equals and not rest:
            raise Refusal(f"{name} needs a value", where=f"{word} (command line)", do=USAGE)
        else:
            value = value if equals else rest.pop(0)
            options[name] += value.split(",") if name == "--metric" else [value]
    return named, options


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = 0.0
    if not 0.5 <= level < 1:
        raise Refusal(f"no level '{text}'", where=f"--level {text} (command line)", do="a number such as 0.95")
    return level
