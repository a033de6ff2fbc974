"""Data sets within a `dataset` group as the config freezes them: complete nodes, one reward, metrics by set."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.data.parts import MIXTURE, SETS, SOURCES, complete, of_first_set, parts_of, set_names

# What is rewarded where sources are files alone.
ACCURACY = {"accuracy": {"_target_": "expctl.rewards.math_answer.accuracy", "_partial_": True}}


def longest_completion(otherwise: Any, *, _root_: DictConfig) -> Any:
    """The most tokens that a source of a mixture asks for, else what `${expctl.longest_completion:512}` says: 512."""
    sources = OmegaConf.select(_root_, "dataset.sources") or {}
    nodes = [node for node in sources.values() if OmegaConf.is_dict(node)]
    asked = [node.max_completion_length for node in nodes if node.get("max_completion_length") is not None]
    return max(asked, default=otherwise)


def dataset_nodes(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of a data set: the group's, those of callbacks, and the sources and sets within these."""
    callbacks = mapping(config.get("callbacks")).values()
    nodes = [mapping(config.get("dataset")), *(mapping(mapping(node).get("dataset")) for node in callbacks)]
    return nodes + [part for node in nodes for _, part in parts_of(node) if isinstance(part, dict)]


def complete_datasets(config: dict[str, Any]) -> None:
    """Complete sources and sets, and have a mixture the reward of its sources.

    Raises:
        Refusal: sources with different rewards, and no reward was chosen.
    """
    for node in dataset_nodes(config):
        complete(node)
    for callback in mapping(config.get("callbacks")).values():
        # It samples for one set of prompts: what the dataset itself holds out.
        sampled = mapping(mapping(callback).get("dataset"))
        sampled.pop(SETS, None)
        if sampled.get("eval_by_source"):
            sampled["eval_by_source"] = False
    dataset = mapping(config.get("dataset"))
    if dataset.get("_target_") == MIXTURE and not dataset.get("reward"):
        is_chosen = bool(mapping(config.get("reward")).get("functions"))
        dataset["reward"] = _shared_reward(dataset, is_chosen=is_chosen)


def _shared_reward(dataset: dict[str, Any], *, is_chosen: bool) -> dict[str, Any]:
    sources = mapping(dataset.get(SOURCES))
    rewards = {name: mapping(node).get("reward") or ACCURACY for name, node in sources.items()}
    first = next(iter(rewards), None)
    other = next((name for name, reward in rewards.items() if reward != rewards.get(str(first))), None)
    if other is not None and not is_chosen and dataset.get("kind") == "prompt-only":
        raise Refusal(
            f"the sources {first} and {other} have different rewards, and a mixture has one",
            where="dataset.sources",
            do="choose it: reward=math, reward=number, ... (expctl list reward)",
        )
    return dict(rewards.get(str(first)) or ACCURACY)


def name_objective(config: dict[str, Any], sources: dict[str, str]) -> None:
    """Of several evaluation sets the first is the one that the algorithm's objective is of, unless one was typed."""
    names = set_names(mapping(config.get("dataset")))
    algorithm, args = mapping(config.get("algorithm")), mapping(config.get("args"))
    for node, key in ((algorithm, "objective"), (args, "metric_for_best_model")):
        group = "algorithm" if node is algorithm else "args"
        if isinstance(node.get(key), str) and f"{group}.{key}" not in sources:
            node[key] = of_first_set(node[key], names)
