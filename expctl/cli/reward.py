"""`expctl reward [overrides] --on FILE`: reward given completions, and show why; nothing is created."""

import json
from pathlib import Path
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.options import take
from expctl.cli.refuse import refuse, refuse_as_worker
from expctl.launch.scoring import scored
from expctl.report.rewards import ALL, Scores, as_json, print_scores
from expctl.runs.reading import load_json

JSON, ON, ROWS = "--json", "--on", "--rows"
USAGE = "expctl reward [overrides] --on FILE [--rows N|all] [--json]"
# What does not matter to rewards: weights, rows to train on, and how a training takes them.
_OF_TRAINING = ("batch sizes", "combinations", "engine", "bema", "schedule", "number formats", "steps")
NOT_ASKED = (*_OF_TRAINING, "model", "dataset", "reward columns")
SHOWN = 20
# In a run's samples, a text of which the middle was left out.
CUT = " characters ...]"


def main(words: list[str]) -> int:
    """Print the rewards of the completions of a file."""
    options, rest = take(words, flags=(JSON,), valued=(ON, ROWS), usage=USAGE, hydra=True)
    if is_multirun(rest):
        raise Refusal("reward takes one experiment", where="-m (command line)", do=USAGE)
    if ON not in options:
        raise Refusal("reward needs completions", where="reward (command line)", do=USAGE)
    experiment = compose(rest)
    if experiment is None:
        return EXIT_COMPLETED
    shown = shown_rows(options)
    from expctl.config.check import check

    refusals = check(experiment, leave_out=NOT_ASKED)
    if refusals:
        return refuse(refusals)
    rows, cut = without_cut(read_completions(found(options[ON])))
    if not rows:
        raise Refusal(f"no completion of {options[ON]} is whole", where=f"{ON} {options[ON]} (command line)")
    answer = scored(experiment, rows)
    if answer is None:
        do = "EXPCTL_DEBUG=1 shows its last words"
        return refuse([Refusal("the process that scores died without an answer", where="reward", do=do)])
    if answer["wrong"]:
        return refuse_as_worker(answer["wrong"], experiment.sources, answer["traceback"])
    scores = Scores(rows, answer["values"], answer["weights"], answer["why"])
    if JSON in options:
        print(json.dumps(as_json(scores), indent=2, ensure_ascii=False))
    else:
        print_scores(scores, options[ON], shown, cut)
    return EXIT_COMPLETED


def shown_rows(options: dict[str, str]) -> int:
    """How many rows to show, of `--rows`."""
    text = options.get(ROWS, str(SHOWN))
    if text != "all" and not text.isdecimal():
        raise Refusal(f"{ROWS} takes a number, or all", where=f"{ROWS} {text} (command line)", do=USAGE)
    return ALL if text == "all" else int(text)


def found(named: str) -> Path:
    """The file that a path names, or the samples of a run that is named by its id."""
    path = Path(named)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    from expctl.runs.find import find

    return find(named).samples


def read_completions(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; of a run's folder, its samples.

    Raises:
        Refusal: no such file, or a row that is none.
    """
    where = f"{ON} {path} (command line)"
    if path.is_dir():
        path = path / "samples.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        do = "a file of lines of JSON, each with prompt and completion, or the folder of a run"
        raise Refusal(f"{path} cannot be read: {error}", where=where, do=do) from error
    rows = [_row(line, f"{path}, line {number}", where) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise Refusal(f"{path} is empty", where=where)
    return rows


def _row(line: str, at: str, where: str) -> dict[str, Any]:
    try:
        row = load_json(line)
    except ValueError as error:
        raise Refusal(f"{at} is no JSON: {error}", where=where, do="one object a line") from error
    if not isinstance(row, dict) or "completion" not in row:
        keys = list(row) if isinstance(row, dict) else []
        but = f", but {', '.join(map(str, keys))}" if keys else ""
        raise Refusal(
            f"{at} has no `completion`{but}",
            where=where,
            nearest=nearest("completion", map(str, keys)),
            do='{"prompt": ..., "completion": ..., and the columns that the reward reads, e.g. "answer": ...}',
        )
    if not isinstance(row["completion"], str | list):
        raise Refusal(f"the completion of {at} is neither a text nor a conversation", where=where)
    return row


def without_cut(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The rows whose completion is whole, and how many of a run's samples are not."""
    whole = [row for row in rows if not ("kind" in row and CUT in str(row["completion"]))]
    return whole, len(rows) - len(whole)
