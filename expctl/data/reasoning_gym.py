"""Generated tasks whose answers a program checks: `reasoning-gym`, without a network.

Source: Stojanovski et al., "Reasoning Gym: Reasoning Environments for Reinforcement Learning with Verifiable
Rewards", arXiv 2505.24760.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from expctl.base.data_kinds import PROMPT_COMPLETION, PROMPT_ONLY, current_kind
from expctl.data.columns import check_kind
from expctl.data.reasoning_gym_tasks import generator, task_of
from expctl.data.turns import Turn, system_turns

Entry = dict[str, Any]  # a question, its answer and what the task's scorer needs
KINDS = (PROMPT_ONLY, PROMPT_COMPLETION)
# A task draws with replacement: draws per wanted question, after which it has too few different ones.
MOST_DRAWS_A_QUESTION = 4
# Between the seeds of two levels: reasoning-gym draws the question at an index from the sum of seed and index.
SEEDS_OF_A_LEVEL = 1 << 24


def load(
    *,
    kind: str,
    seed: int,
    task: str | dict[str, float],
    train_size: int = 1024,
    eval_size: int = 64,
    instruction: str = "Give the final answer between <answer> and </answer>.",
    examples: int = 0,
    options: dict[str, Any] | None = None,
    levels: Sequence[int] | None = None,
    system_prompt: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Generate one task, or several in proportion; no question of the evaluation set is in the training set.

    Args:
        kind: "prompt-only" (columns `prompt`, `answer`, `task`, `entry`) or "prompt-completion" (`prompt`,
            `completion`); with levels a column `level`.
        seed: of the generator.
        task: a name of reasoning-gym's, e.g. `chain_sum`; or several, each with the weight that it is drawn with.
        train_size: number of training questions.
        eval_size: number of held-out questions.
        instruction: stands below each question and says in which form the answer is expected.
        examples: solved questions that come before each question as turns of the conversation; the same for all, and
            in neither set. They show a small model the form, without which it gets no reward to learn from.
        options: fields of the task's own config, e.g. `{"max_terms": 3}`; of several tasks by their names.
        levels: of the tasks' own curricula, from 0. Both sets have the same number of questions of each, in their
            order, so that a training that does not shuffle begins with the first level.
        system_prompt: the turn of the system that begins each conversation; None for none.

    Returns:
        Conversational prompts. `entry` is the task's own record as JSON: what its scorer needs.

    Raises:
        ValueError: unknown task or option, one that cannot be scored from a table, or too few different questions.
    """
    kind = current_kind(kind)
    check_kind(kind, "reasoning_gym", KINDS)
    weights = {task: 1.0} if isinstance(task, str) else dict(task)
    by_task = {task: options or {}} if isinstance(task, str) else dict(options or {})
    _check_options(weights, by_task)
    stages = list(levels) if levels else [None]
    parts = [_share(size, len(stages)) for size in (train_size, eval_size)]
    shown = _Shown(instruction, system_turns(system_prompt))
    seen: set[str] = set()
    train: list[dict[str, Any]] = []
    held_out: list[dict[str, Any]] = []
    for stage, (level, train_part, eval_part) in enumerate(zip(stages, *parts, strict=True)):
        wanted = (examples if stage == 0 else 0) + train_part + eval_part
        source = generator(weights, by_task, level, seed + stage * SEEDS_OF_A_LEVEL, wanted * MOST_DRAWS_A_QUESTION)
        entries = _different(
            source, wanted, seen, f"dataset.task={task}" + ("" if level is None else f", level {level}")
        )
        _check_scorers(source, entries)
        if stage == 0:
            shown.examples += entries[:examples]
            entries = entries[examples:]
        rows = [shown.row(entry, kind) | ({} if level is None else {"level": level}) for entry in entries]
        held_out += rows[:eval_part]
        train += rows[eval_part:]
    return Dataset.from_list(train), Dataset.from_list(held_out)


def _check_options(weights: Mapping[str, float], by_task: Mapping[str, Any]) -> None:
    """Raise ValueError where there is no task, or an option is of none of them."""
    if not weights:
        raise ValueError("dataset.task={}: no task.")
    for name in by_task:
        if name not in weights:
            raise ValueError(
                f"dataset.options.{name}: of several tasks options have the task's name; {', '.join(weights)}."
            )


def _share(total: int, parts: int) -> list[int]:
    """A number in parts that differ by one at most."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def _different(source: Any, wanted: int, seen: set[str], where: str) -> list[Entry]:
    """The first `wanted` entries with questions that are not among those `seen`, to which they are added."""
    entries: list[Entry] = []
    for index in range(len(source)):
        if len(entries) == wanted:
            break
        entry = source[index]
        if entry["question"] not in seen:
            seen.add(entry["question"])
            entries.append(entry)
    if len(entries) < wanted:
        raise ValueError(
            f"{where} has too few different questions: {len(entries)} in {len(source)} draws, and "
            f"train_size + eval_size + examples is {wanted}. Ask for fewer, or make it harder (dataset.options)."
        )
    return entries


def _check_scorers(source: Any, entries: list[Entry]) -> None:
    """A few tasks keep objects in their entries that a table cannot: their scorer would refuse every right answer."""
    for task, entry in {task_of(entry): entry for entry in reversed(entries)}.items():
        answer = entry["answer"]
        if answer is None:
            continue
        stored = json.loads(json.dumps(entry, default=str))
        if source.score_answer(answer, entry) != source.score_answer(answer, stored):
            raise ValueError(f"dataset.task={task} cannot be scored: its entries hold objects that a table cannot.")


class _Shown:
    """How a question is asked: what stands below it, and what comes before it."""

    def __init__(self, instruction: str, system: list[Turn]):
        self.instruction = instruction
        self.system = system
        self.examples: list[Entry] = []

    def row(self, entry: Entry, kind: str) -> dict[str, Any]:
        """A question as a row."""
        prompt = list(self.system)
        for example in self.examples:
            prompt += [_question(example, self.instruction), _solution(example)]
        prompt.append(_question(entry, self.instruction))
        if kind == PROMPT_COMPLETION:
            return {"prompt": prompt, "completion": [_solution(entry)]}
        answer, record = entry["answer"] or "", json.dumps(entry, default=str)
        return {"prompt": prompt, "answer": answer, "task": task_of(entry), "entry": record}


def _question(entry: Entry, instruction: str) -> Turn:
    return {"role": "user", "content": f"{entry['question'].strip()}\n{instruction}".strip()}


def _solution(entry: Entry) -> Turn:
    if entry["answer"] is None:
        raise ValueError(
            f"dataset.task={task_of(entry)} knows no answers, only how to check them: it has no {PROMPT_COMPLETION!r} "
            "and no examples (dataset.examples=0)."
        )
    return {"role": "assistant", "content": f"<answer>{entry['answer']}</answer>"}
