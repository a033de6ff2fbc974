"""Generated tasks whose answers a program checks: `reasoning-gym`, without a network.

Source: Stojanovski et al., "Reasoning Gym: Reasoning Environments for Reinforcement Learning with Verifiable
Rewards", arXiv 2505.24760.
"""

import json
from typing import Any

import reasoning_gym
from datasets import Dataset

from expctl.base.data_kinds import PROMPT_COMPLETION, PROMPT_ONLY, current_kind
from expctl.data.columns import check_kind, check_task
from expctl.data.turns import Turn, system_turns

Entry = dict[str, Any]  # a question, its answer and what the task's scorer needs
KINDS = (PROMPT_ONLY, PROMPT_COMPLETION)
# A task draws with replacement: draws per wanted question, after which it has too few different ones.
MOST_DRAWS_A_QUESTION = 4


def load(
    *,
    kind: str,
    seed: int,
    task: str,
    train_size: int = 1024,
    eval_size: int = 64,
    instruction: str = "Give the final answer between <answer> and </answer>.",
    examples: int = 0,
    options: dict[str, Any] | None = None,
    system_prompt: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Generate one task; no question of the evaluation set is in the training set.

    Args:
        kind: "prompt-only" (columns `prompt`, `answer`, `task`, `entry`) or "prompt-completion" (`prompt`,
            `completion`).
        seed: of the generator.
        task: a name of reasoning-gym's, e.g. `chain_sum`.
        train_size: number of training questions.
        eval_size: number of held-out questions.
        instruction: stands below each question and says in which form the answer is expected.
        examples: solved questions that come before each question as turns of the conversation; the same for all, and
            in neither set. They show a small model the form, without which it gets no reward to learn from.
        options: fields of the task's own config, e.g. `{"max_terms": 3}`.
        system_prompt: the turn of the system that begins each conversation; None for none.

    Returns:
        Conversational prompts. `entry` is the task's own record as JSON: what its scorer needs.

    Raises:
        ValueError: unknown task or option, one that cannot be scored from a table, or too few different questions.
    """
    kind = current_kind(kind)
    check_kind(kind, "reasoning_gym", KINDS)
    wanted = examples + eval_size + train_size
    generator = _generator(task, seed, wanted * MOST_DRAWS_A_QUESTION, dict(options or {}))
    entries = _different(generator, wanted)
    if len(entries) < wanted:
        raise ValueError(
            f"dataset.task={task} has too few different questions: {len(entries)} in {len(generator)} draws, and "
            f"train_size + eval_size + examples is {wanted}. Ask for fewer, or make it harder (dataset.options)."
        )
    _check_scorer(task, generator, entries[0])
    example_turns = system_turns(system_prompt)
    for entry in entries[:examples]:
        example_turns += [_question(entry, instruction), _solution(entry, task)]
    rows = [_row(entry, task, kind, [*example_turns, _question(entry, instruction)]) for entry in entries[examples:]]
    return Dataset.from_list(rows[eval_size:]), Dataset.from_list(rows[:eval_size])


def _generator(task: str, seed: int, size: int, options: dict[str, Any]) -> Any:
    check_task(task, sorted(reasoning_gym.factory.DATASETS))
    try:
        return reasoning_gym.create_dataset(task, seed=seed, size=size, **options)
    except (TypeError, AssertionError, ValueError) as error:
        known = sorted(vars(reasoning_gym.factory.DATASETS[task][1]()).keys() - {"seed", "size"})
        raise ValueError(
            f"dataset.options={options} do not fit task {task}: {error}\nIt takes: {', '.join(known)}."
        ) from error


def _different(generator: Any, wanted: int) -> list[Entry]:
    """The first `wanted` entries with different questions, or fewer where the task has no more."""
    entries: dict[str, Entry] = {}
    for index in range(len(generator)):
        entry = generator[index]
        entries.setdefault(entry["question"], entry)
        if len(entries) == wanted:
            break
    return list(entries.values())


def _check_scorer(task: str, generator: Any, entry: Entry) -> None:
    """A few tasks keep objects in their entries that a table cannot: their scorer would refuse every right answer."""
    answer = entry["answer"]
    if answer is None:
        return
    stored = json.loads(json.dumps(entry, default=str))
    if generator.score_answer(answer, entry) != generator.score_answer(answer, stored):
        raise ValueError(f"dataset.task={task} cannot be scored: its entries hold objects that a table cannot.")


def _question(entry: Entry, instruction: str) -> Turn:
    return {"role": "user", "content": f"{entry['question'].strip()}\n{instruction}".strip()}


def _solution(entry: Entry, task: str) -> Turn:
    if entry["answer"] is None:
        raise ValueError(
            f"dataset.task={task} knows no answers, only how to check them: it has no {PROMPT_COMPLETION!r} "
            "and no examples (dataset.examples=0)."
        )
    return {"role": "assistant", "content": f"<answer>{entry['answer']}</answer>"}


def _row(entry: Entry, task: str, kind: str, prompt: list[Turn]) -> dict[str, Any]:
    if kind == PROMPT_COMPLETION:
        return {"prompt": prompt, "completion": [_solution(entry, task)]}
    return {"prompt": prompt, "answer": entry["answer"] or "", "task": task, "entry": json.dumps(entry, default=str)}
