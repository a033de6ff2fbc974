"""Runs the reward functions on a group of plausible completions."""

import inspect
from typing import Any

from expctl.models.reward_model import is_small
from expctl.models.seeing import text_tokenizer
from expctl.worker.preflight.model import SMALL

REWARD_MODEL, TEACHER = "expctl.models.reward_model.load", "expctl.models.teacher.load"


def without_large_models(node: Any) -> Any:
    """A config node with large reward models and teachers without weights: they would take minutes and memory here."""
    if isinstance(node, list):
        return [without_large_models(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if node.get("_target_") in (REWARD_MODEL, TEACHER):
        whole = is_small(node["path"], node.get("revision") or "main", SMALL)
        return node | {"has_weights": whole} | ({"device": "cpu"} if node["_target_"] == REWARD_MODEL else {})
    return {key: without_large_models(inner) for key, inner in node.items()}


def reward_a_group(trainer: Any) -> None:
    """Have the trainer reward one group of completions of the first row, as it does in training.

    Args:
        trainer: of TRL, with reward functions.

    Raises:
        Exception: any error of a reward function, or of the trainer over its values.
    """
    row = dict(next(iter(trainer.train_dataset)))
    group = getattr(trainer, "num_generations", None) or 2
    text = plausible_completion(row)
    completion = [{"role": "assistant", "content": text}] if isinstance(row["prompt"], list) else text
    tokenizer = text_tokenizer(trainer.processing_class)
    ids = tokenizer(text=text, add_special_tokens=False)["input_ids"]
    eos = tokenizer.eos_token_id
    if eos is not None:
        ids = [*ids, eos]  # a truncated completion might not be looked into
    prompts, completions = [row["prompt"]] * group, [completion] * group
    if "inputs" in inspect.signature(trainer._calculate_rewards).parameters:
        rows, ids_of_all = [dict(row) for _ in range(group)], [list(ids) for _ in range(group)]
        trainer._calculate_rewards(rows, prompts, completions, ids_of_all)
        return
    columns = {name: [value] * group for name, value in row.items() if name != "prompt"}
    trainer._calculate_rewards(prompts, completions, **columns)


def plausible_completion(row: dict[str, Any]) -> str:
    """A text that a model might write for a row."""
    answer = str(row.get("answer") or row.get("solution") or "1").strip()[-40:]
    return f"The answer is {answer}. #### {answer}"
