"""`expctl sample RUN|MODEL ... [PROMPT]`: talk to models, several samples and several models side by side."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.eval import evaluation_words, is_model
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.options import take
from expctl.cli.refuse import refuse
from expctl.cli.trust import TRUST
from expctl.launch.sampling import ModelProcess
from expctl.report.side_by_side import side_by_side

USAGE = "expctl sample RUN|MODEL ... [PROMPT] [-n 4] [--held-out 3] [--json] [--trust] [overrides]"
# What sets a key, and is no sum: `args.temperature=0`, `+args.top_k=5`, `~callbacks`.
OVERRIDE = re.compile(r"[+]{0,2}[A-Za-z_][\w./@]*=|~[A-Za-z_][\w./]*$")
VALUED = ("-n", "--held-out", "--config-dir")


def main(words: list[str]) -> int:
    """Sample, and show; refused like an evaluation, before a model is loaded."""
    overrides = [word for word in words if OVERRIDE.match(word)]
    options, plain = take(
        [word for word in words if word not in overrides], flags=("--json", TRUST), valued=VALUED, usage=USAGE
    )
    if is_multirun(words):
        raise Refusal("sample takes no sweep", where="-m (command line)", do=USAGE)
    named = [word for number, word in enumerate(plain) if number == 0 or is_model(word)]
    rest = [word for word in plain if word not in named]
    if not named or len(rest) > 1:
        raise Refusal("sample needs a run or a model, and takes one prompt", where="sample (command line)", do=USAGE)
    if rest and "--held-out" in options:
        raise Refusal("--held-out takes the place of a prompt", where=f"{rest[0]} (command line)", do=USAGE)
    count, held_out = (_number(options, name) for name in ("-n", "--held-out"))
    experiments = {word: _experiment(word, overrides, options) for word in named}
    from expctl.config.check import check

    refusals = [refusal for each in experiments.values() for refusal in check(each)]
    if refusals:
        return refuse(refusals)
    is_piped = not rest and not held_out and not sys.stdin.isatty()
    as_json = "--json" in options or is_piped
    with ExitStack() as models:
        processes = [models.enter_context(ModelProcess(each, word)) for word, each in experiments.items()]
        for request in _requests(rest, held_out, count or 1):
            for process in processes:
                process.ask(request)
            _show({process.name: process.answer() for process in processes}, as_json)
    return EXIT_COMPLETED


def _experiment(word: str, overrides: list[str], options: dict[str, str]) -> Experiment:
    folders = [f"--config-dir={options['--config-dir']}"] if "--config-dir" in options else []
    flags = [TRUST] if TRUST in options else []
    experiment = compose(evaluation_words([word, *flags, *folders, *overrides]))
    if experiment is None:
        raise Refusal("nothing was composed", where=f"{word} (command line)", do=USAGE)
    return experiment


def _number(options: dict[str, str], name: str) -> int:
    text = options.get(name, "0")
    if not text.isdigit() or (name in options and int(text) == 0):
        raise Refusal(f"no number '{text}'", where=f"{name} {text} (command line)", do=f"{name} 4")
    return int(text)


def _requests(prompts: list[str], held_out: int, count: int) -> Iterator[dict[str, Any]]:
    """One prompt, or some of the held-out ones; else what is typed, or what the pipe holds, line by line."""
    if held_out:
        yield {"held_out": held_out, "count": count}
    elif prompts:
        yield {"rows": [{"prompt": prompts[0]}], "count": count}
    else:
        for line in _lines():
            if line.strip():
                yield {"rows": [_row(line.rstrip("\n"))], "count": count}


def _lines() -> Iterator[str]:
    """The lines of a pipe; in a terminal those that are typed, until Ctrl-D."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def _row(line: str) -> dict[str, Any]:
    """A prompt as text, or as a JSON object with further columns, which rewards may need."""
    if not line.startswith("{") or sys.stdin.isatty():
        return {"prompt": line}
    try:
        row = json.loads(line)
    except ValueError:
        return {"prompt": line}
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str | list):
        raise Refusal("a line of the pipe has no `prompt`", where=line[:80], do='{"prompt": "..."}, or plain text')
    return row


def _show(answers: dict[str, list[dict[str, Any]]], as_json: bool) -> None:
    """One object a prompt and model, or the completions next to each other."""
    for number, row in enumerate(next(iter(answers.values()))):
        of_each = {name: rows[number]["completions"] for name, rows in answers.items()}
        if as_json:
            for name, completions in of_each.items():
                said = {"model": name, "prompt": row["prompt"], "completions": completions}
                print(json.dumps(said, ensure_ascii=False), flush=True)
        else:
            print("\n".join(side_by_side(row["prompt"], of_each, shutil.get_terminal_size().columns)), flush=True)
