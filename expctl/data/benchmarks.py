"""Standard benchmarks, which are evaluated and never trained on: the tasks of EleutherAI's lm-eval. Torch-free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import BENCHMARKS

TARGET = "expctl.data.benchmarks.load"
PACKAGE = "lm_eval"


@dataclass(frozen=True)
class Benchmarks:
    """Tasks of lm-eval, and how their questions are put.

    Args:
        tasks: names of tasks, of groups of tasks, or of tags.
        num_fewshot: solved examples before each question; None for the number that the task says.
        limit: questions a task at most, the first ones; None for all.
        include_path: a folder with tasks of the user's own, in YAML; None for lm-eval's alone.
        chat_template: whether questions are rendered by the model's chat template; None where it has one.
        system_prompt: the turn of the system before each question, or None.
    """

    tasks: tuple[str, ...]
    num_fewshot: int | None = None
    limit: int | None = None
    include_path: str | None = None
    chat_template: bool | None = None
    system_prompt: str | None = None


def load(
    *,
    kind: str,
    tasks: str | Sequence[str],
    num_fewshot: int | None = None,
    limit: int | None = None,
    include_path: str | None = None,
    chat_template: bool | None = None,
    system_prompt: str | None = None,
) -> tuple[None, Benchmarks]:
    """Nothing to train on, and the tasks to evaluate on; arguments as in `Benchmarks`, `kind` is `benchmarks`."""
    named = names(tasks)
    return None, Benchmarks(named, num_fewshot, limit, include_path, chat_template, system_prompt)


def names(tasks: str | Sequence[str]) -> tuple[str, ...]:
    """The names of tasks, each once: one, or several."""
    return tuple(dict.fromkeys([tasks] if isinstance(tasks, str) else tasks))


def check_benchmarks(options: Mapping[str, Any]) -> None:
    """Refuse what can be known without lm-eval. Raises FileNotFoundError, ValueError: begins with the key."""
    if options["kind"] != BENCHMARKS:
        raise ValueError(
            "dataset=benchmarks is evaluated and never trained on.\n"
            "Type expctl eval RUN|MODEL dataset=benchmarks dataset.tasks=[gsm8k]"
        )
    tasks = options.get("tasks")
    if not tasks or not all(isinstance(name, str) and name for name in names(tasks)):
        raise ValueError(f"dataset.tasks={tasks} names no task.\nName some: dataset.tasks=[gsm8k,arc_easy]")
    for key, least in (("num_fewshot", 0), ("limit", 1)):
        number = options.get(key)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < least):
            raise ValueError(f"dataset.{key}={number} is no number of {least} or more.")
    folder = options.get("include_path")
    if folder is not None and not Path(folder).expanduser().is_dir():
        raise FileNotFoundError(f"dataset.include_path={folder} is no folder.")
    if find_spec(PACKAGE) is None:
        raise ValueError('dataset=benchmarks needs lm-eval, which is not installed.\npip install "expctl[benchmarks]"')
