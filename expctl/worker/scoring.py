"""`python -m expctl.worker.scoring`: reward given completions, and say why; a request and its answer are lines of JSON.

The functions are made and called as a training does it, without a model: of it only the tokenizer is there.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain, islice
from typing import Any

from expctl.worker.answers import answers_alone
from expctl.worker.preflight.phases import Preflight
from expctl.worker.preflight.problem import Problem, ProblemError, error_text
from expctl.worker.reward_endings import needed_columns
from expctl.worker.reward_guard import Guard
from expctl.worker.reward_values import awaited
from expctl.worker.reward_weights import final_weights
from expctl.worker.rewards import in_order, reward_functions
from expctl.worker.samples import cut, shown_text

Row = dict[str, Any]
# Keys of a row that are no columns of the data: what is scored, and what a run's samples hold besides.
NOT_COLUMNS = ("prompt", "completion", "truncated", "unfinished", "step", "kind", "rewards")
MOST_ROWS = 200_000  # of the dataset, that are looked through for a prompt


def score(config: dict[str, Any], rows: list[Row]) -> dict[str, Any]:
    """The rewards of completions.

    Args:
        config: resolved.
        rows: each with `completion`, and maybe `prompt`, `truncated` and columns of the data.

    Returns:
        `wrong` and `traceback` as of `expctl.worker.preflight.phases.preflight`; `values`, name of a function -> one
        value a row; `weights`, name -> weight; `why`, name -> name of a column -> what the function said of each row.
    """
    check = Preflight(config)
    answer: dict[str, Any] = {"values": {}, "weights": {}, "why": {}}
    with check.phase("tokenizer", lambda error: Problem(error_text(error), "model.path")):
        tokenizer = _tokenizer(config["model"])
    functions: list[Any] = []
    with check.phase("rewards", lambda error: Problem(error_text(error), "reward")):
        functions += reward_functions(config["reward"])
    if not check.problems:
        with check.phase("columns", lambda error: Problem(error_text(error), "dataset")):
            rows = with_columns(rows, functions, config)
    if not check.problems:
        with check.phase("scores", partial(_reward_problem, config)):
            values, why = asyncio.run(_values(functions, config, _keywords(rows, tokenizer)))
            weights = dict(zip(config["reward"]["functions"], final_weights(config["reward"]), strict=True))
            answer = {"values": values, "weights": weights, "why": why}
    return answer | {"wrong": [asdict(problem) for problem in check.problems], "traceback": check.traceback}


def with_columns(rows: list[Row], functions: Iterable[Any], config: dict[str, Any]) -> list[Row]:
    """The rows with the columns that the functions need, taken from the dataset's row of the same prompt where absent.

    Raises:
        ProblemError: a column that neither has.
    """
    missing = [
        (function.__name__, column)
        for function in functions
        for column in _needed(function)
        if any(column not in row for row in rows)
    ]
    if not missing:
        return rows
    name, column = missing[0]
    known = _rows_by_prompt(config["dataset"]) if all("prompt" in row for row in rows) else {}
    found = [{**known.get(shown_text(row.get("prompt")), {}), **row} for row in rows]
    without = [index for index, row in enumerate(found) if column not in row]
    if without:
        why = "and no row of the dataset has its prompt" if known else "and without `prompt` the dataset is no help"
        raise ProblemError(
            f"the reward '{name}' needs '{column}', which row {without[0] + 1} of the file does not have, {why}",
            f"reward.functions.{name}",
            f"give each row '{column}', or name the dataset that the prompts are of (dataset=...)",
        )
    return found


def _needed(function: Any) -> list[str]:
    """The columns that a function cannot be called without."""
    if not isinstance(function, Guard):
        raise ProblemError(
            "a reward model that the trainer runs by itself cannot be asked here", "reward.functions", "reward=model"
        )
    return needed_columns(function.function)


def _rows_by_prompt(dataset: dict[str, Any]) -> dict[str, Row]:
    """The text of a prompt, whole and as a run's samples shorten it -> the row of the dataset."""
    from expctl.worker.datasets import all_sets

    known: dict[str, Row] = {}
    for row in islice(chain.from_iterable(all_sets(dataset)), MOST_ROWS):
        text = shown_text(row.get("prompt"))
        known.setdefault(text, row)
        known.setdefault(cut(text), row)
    return known


def _tokenizer(model: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    from expctl.models import resolve

    revision = model.get("revision") or "main"
    return AutoTokenizer.from_pretrained(
        resolve(model["path"], revision=revision).source, trust_remote_code=bool(model.get("trust_remote_code"))
    )


def _keywords(rows: Sequence[Row], tokenizer: Any) -> dict[str, Any]:
    """What a trainer would give the functions of these rows."""
    completions = [row["completion"] for row in rows]
    texts = [shown_text(completion) for completion in completions]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    if end is not None:
        ids = [of_row if row.get("truncated") else [*of_row, end] for of_row, row in zip(ids, rows, strict=True)]
    columns = dict.fromkeys(key for row in rows for key in row if key not in NOT_COLUMNS)
    keywords = {column: [row.get(column) for row in rows] for column in columns}
    prompts = [row.get("prompt", "") for row in rows]
    return keywords | {
        "prompts": prompts,
        "completions": completions,
        "completion_ids": ids,
        "end_tokens": frozenset() if end is None else frozenset({end}),
    }


async def _values(
    functions: list[Guard], config: dict[str, Any], keywords: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Name of each function -> its values, and -> what it said of the rows; asynchronous ones run together."""
    ends = keywords.pop("end_tokens")
    by_name = {function.__name__: function for function in functions}
    why: dict[str, dict[str, list[Any]]] = {name: {} for name in by_name}
    pending = []
    # A condition before what asks it, so that it says why under its own name.
    for name in in_order(list(by_name), config["reward"].get("gates") or {}):
        by_name[name].end_tokens = ends
        say = why[name].__setitem__
        told = {"log_extra": say, "explain": say, "log_metric": lambda *_: None, "trainer_state": None}
        pending.append((name, asyncio.ensure_future(awaited_call(by_name[name], keywords | told))))
    values = {name: await value for name, value in pending}
    plain = {
        name: {column: [_plain(value) for value in said] for column, said in columns.items()}
        for name, columns in why.items()
    }
    return {name: values[name] for name in by_name}, {name: columns for name, columns in plain.items() if columns}


async def awaited_call(function: Any, keywords: dict[str, Any]) -> Any:
    """What a guarded function gives, whether or not it is asynchronous."""
    return await awaited(function(**keywords))


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else str(value)


def _reward_problem(config: dict[str, Any], error: BaseException) -> Problem:
    message = error_text(error)
    named = [name for name in config["reward"]["functions"] if f"'{name}'" in message]
    return Problem(message, f"reward.functions.{named[0]}._target_" if named else "reward")


def main() -> None:
    """Answer one request: `config` and `rows`."""
    answers = answers_alone()
    request = json.loads(sys.stdin.readline())
    print(json.dumps(score(request["config"], request["rows"])), file=answers)


if __name__ == "__main__":
    main()
