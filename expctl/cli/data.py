"""`expctl data [overrides] [--rows N] [--json] [--html FILE]`: what the trainer will see of the data."""

import shlex
import sys
from pathlib import Path
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.options import take
from expctl.cli.refuse import refuse, refuse_as_worker
from expctl.config.check import check

USAGE = "expctl data [overrides] [--rows N] [--json] [--html FILE]"
ROWS, MOST_ROWS = 3, 100


def main(words: list[str]) -> int:
    """Load the data of an experiment, and show them as the trainer will see them; nothing is created."""
    options, rest = take(words, flags=("--json",), valued=("--rows", "--html"), usage=USAGE, hydra=True)
    rows = _rows(options.get("--rows", str(ROWS)))
    page = Path(options["--html"]).expanduser() if "--html" in options else None
    if is_multirun(rest):
        raise Refusal("data takes one experiment", where="-m (command line)", do="look at one cell of the sweep")
    experiment = compose(rest)
    if not experiment:
        return EXIT_COMPLETED
    refusals = check(experiment)
    if refusals:
        return refuse(refusals)
    command = shlex.join(["expctl", "data", *words])
    return _show(experiment, rows, as_data="--json" in options, page=page, command=command)


def _show(experiment: Experiment, rows: int, *, as_data: bool, page: Path | None, command: str) -> int:
    from expctl.launch.preflight import data_view
    from expctl.report.data_view import print_view
    from expctl.report.files import refuse_unwritable, write_page
    from expctl.report.json_text import json_text

    refuse_unwritable(None, page)
    answer = data_view(experiment, rows)
    if answer is None:
        do = "EXPCTL_DEBUG=1 shows its last words"
        return refuse([Refusal("the process that loads the data died without an answer", where="data", do=do)])
    if answer["wrong"]:
        return refuse_as_worker(answer["wrong"], experiment.sources, answer["traceback"])
    view = _named(experiment) | answer["view"]
    if as_data:
        print(json_text(view))
    else:
        print_view(view)
    if page:
        from expctl.report.data_page import data_page

        write_page(page, data_page(view, command))
        print(f"page   {page}", file=sys.stderr if as_data else sys.stdout)
    return EXIT_COMPLETED


def _named(experiment: Experiment) -> dict[str, Any]:
    """What the view is of."""
    choices = experiment.choices
    return {"dataset": choices.get("dataset"), "algorithm": choices.get("algorithm")}


def _rows(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_ROWS:
        raise Refusal(f"no number of rows '{text}'", where=f"--rows {text} (command line)", do=f"0 to {MOST_ROWS}")
    return int(text)
