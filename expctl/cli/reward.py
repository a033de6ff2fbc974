"""`expctl reward [overrides] --on FILE|RUN`: reward given completions, and show why; nothing is created."""

import json
import shlex
from pathlib import Path
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.base.words import dotted_key_of
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.named_run import as_it_was
from expctl.cli.options import take
from expctl.cli.refuse import refuse, refuse_as_worker
from expctl.cli.trust import TRUST, ask_for_trust
from expctl.launch.scoring import scored
from expctl.report.rewards import ALL, Scores, as_json, print_scores
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.find import find
from expctl.runs.reading import load_json

JSON, ON, ROWS = "--json", "--on", "--rows"
USAGE = "expctl reward [overrides] --on FILE|RUN [--rows N|all] [--json]"
# What does not matter to rewards: weights, rows to train on, and how a training takes them.
_OF_TRAINING = ("batch sizes", "combinations", "engine", "bema", "schedule", "number formats", "steps")
NOT_ASKED = (*_OF_TRAINING, "model", "dataset", "reward columns")
SHOWN = 20
# In a run's samples, a text of which the middle was left out.
CUT = " characters ...]"


def main(words: list[str]) -> int:
    """Print the rewards of the completions of a file."""
    options, rest = take(words, flags=(JSON, TRUST), valued=(ON, ROWS), usage=USAGE, hydra=True)
    if is_multirun(rest):
        raise Refusal("reward takes one experiment", where="-m (command line)", do=USAGE)
    if ON not in options:
        raise Refusal("reward needs completions", where="reward (command line)", do=USAGE)
    run = found_run(options[ON])
    experiment = compose(rest) if run is None else of_run(run, rest, trusted=TRUST in options)
    if experiment is None:
        return EXIT_COMPLETED
    shown = shown_rows(options)
    from expctl.config.check import check

    refusals = check(experiment, leave_out=NOT_ASKED)
    if refusals:
        return refuse(refusals)
    rows, cut = without_cut(read_completions(Path(options[ON]) if run is None else run.samples))
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


def found_run(named: str) -> Run | None:
    """The run that is named by its folder or its id; None for a file, and for a folder that holds no run."""
    path = Path(named)
    if path.is_dir() and manifest.read(Run(path)) is not None:
        return Run(path.resolve())
    if path.exists() or path.suffix or len(path.parts) > 1:
        return None
    return find(named)


def of_run(run: Run, typed: list[str], *, trusted: bool) -> Experiment | None:
    """The run's experiment as it was started; with words, that of its own words with these in the place of theirs.

    Args:
        run: whose samples are rewarded.
        typed: overrides.
        trusted: the code that the run names may be executed, whoever made it.

    Raises:
        Refusal: the run is damaged, not trusted, or of another folder, in which words would mean something else.
    """
    experiment = as_it_was(run)
    ask_for_trust("reward --on", run, experiment, trusted)
    if not typed:
        return experiment
    if experiment.folder.resolve() != Path.cwd().resolve():
        raise Refusal(
            f"the run was started in {experiment.folder}, where the words that are typed here may name other files",
            where=f"{ON} {run.run_id} (command line)",
            do=f"cd {shlex.quote(str(experiment.folder))}, or type no word to have the run's own rewards",
        )
    keys = {dotted_key_of(word) for word in typed if not word.startswith(("-", "~"))}
    own = [word for word in experiment.overrides if not _is_set(dotted_key_of(word), keys)]
    return compose([*own, *typed])


def _is_set(key: str, keys: set[str]) -> bool:
    """Whether a word sets a key, or what it is a part of."""
    return any(key == typed or key.startswith(f"{typed}.") for typed in keys)


def read_completions(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; of a folder, its `samples.jsonl`.

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
