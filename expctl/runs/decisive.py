"""Which settings decide the result of a run: the one definition, with the reason for each setting that does not.

The run id, the resumption of runs, similar runs, `compare`, `ls`, `rerun` and the trackers all follow `IMMATERIAL`. A
setting decides unless a rule says why it cannot: an unknown one decides. Callbacks are taken for observers of logs and
saves, since one that changes the training when something is logged or saved cannot be told from its settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from expctl.base.data_kinds import OLD_SPELLINGS
from expctl.base.modules import is_known
from expctl.base.plain_data import leaves

# Dotted key -> value.
FlatConfig = Mapping[str, Any]
# Pattern of keys (see `matches`) -> value -> the same value as it is to be spelled.
Spellings = dict[str, dict[str, str]]


def _never(settings: FlatConfig) -> bool:
    return False


def _loads_best_model(settings: FlatConfig) -> bool:
    return bool(settings.get("args.load_best_model_at_end"))


def _starts_from_no_run(settings: FlatConfig) -> bool:
    return not settings.get("model.run")


def _draws_printed_completions(settings: FlatConfig) -> bool:
    return settings.get("args.num_completions_to_print") is not None


def _workers_may_draw(settings: FlatConfig) -> bool:
    """Whether anything but expctl's loaders and the collators of TRL may run in the workers of a dataloader."""
    trainer, loader = (str(settings.get(f"{part}._target_")) for part in ("algorithm.trainer", "dataset"))
    collates = any(key.startswith("algorithm.trainer.data_collator") for key in settings)
    known = is_known(trainer) and loader.startswith("expctl.")
    return collates or not known or bool(settings.get("dataset.streaming"))


@dataclass(frozen=True)
class Immaterial:
    """Settings that cannot change the result, and why.

    `keys` are patterns of dotted keys (see `matches`); `reason` is a sentence without its end; where `unless` is true
    of an experiment's settings, they decide after all.
    """

    keys: tuple[str, ...]
    reason: str
    unless: Callable[[FlatConfig], bool] = _never


IMMATERIAL = (
    Immaterial(("name", "force"), "it says what the run is called and that it is to begin anew"),
    Immaterial(
        ("tracker", "tracker.*", "args.report_to", "args.run_name", "args.project", "args.trackio_*"),
        "a tracker receives what was measured",
    ),
    Immaterial(
        # TRL draws the completions that it prints from Python's random numbers, at every log.
        ("args.logging_*", "args.log_completions*", "args.log_unique_prompts", "args.num_completions_to_print"),
        "a log reports the training",
        unless=_draws_printed_completions,
    ),
    Immaterial(
        (
            *("args.log_level*", "args.log_on_each_node", "args.log_multimodal", "args.disable_tqdm"),
            *("args.include_num_input_tokens_seen", "args.skip_memory_metrics"),
        ),
        "it selects what is shown of the training",
    ),
    Immaterial(
        ("args.save_strategy", "args.save_steps"),
        "a checkpoint is a copy of the training's state",
        unless=_loads_best_model,
    ),
    # `save_only_model` decides: a run that is resumed from such a checkpoint starts its optimizer anew.
    Immaterial(
        ("args.save_total_limit", "args.save_on_each_node"),
        "old checkpoints are deleted, never the last or the best",
    ),
    Immaterial(("args.output_dir",), "a run's folder follows from its id"),
    Immaterial(("args.push_to_hub*", "args.hub_*"), "the Hub receives what was trained"),
    Immaterial(
        ("args.dataloader_pin_memory", "args.dataloader_prefetch_factor"), "it moves batches, whose content stays"
    ),
    Immaterial(
        # A stream is shared out among the workers, and a collator that draws has other random numbers in each.
        (
            "args.dataloader_num_workers",
            "args.dataloader_persistent_workers",
            "args.dataloader_multiprocessing_context",
        ),
        "the order and the content of the batches do not depend on who fetches them",
        unless=_workers_may_draw,
    ),
    Immaterial(
        ("hardware.hang_minutes", "args.ddp_timeout", "generation.timeout", "args.vllm_server_timeout"),
        "it limits how long somebody waits",
    ),
    Immaterial(
        (
            "generation.url",
            "generation.own_node",
            "args.vllm_server_base_url",
            "args.vllm_server_host",
            "args.vllm_server_port",
            "args.vllm_group_port",
        ),
        "an address says where a server is, which samples with the weights that it is given",
    ),
    Immaterial(
        ("model.run", "model.path", "algorithm.trainer.random_states"),
        "the weights and random states that an earlier run has left count by their content",
        unless=_starts_from_no_run,
    ),
    Immaterial(
        tuple(
            f"reward.functions.judge.{name}"
            for name in ("url", "at_once", "per_minute", "timeout", "retries", "cache", "key_variable")
        )
        + ("reward.functions.judge.most_*", "reward.functions.code.at_once"),
        "it says where a judge is and how fast it may be asked; its name, rubric and settings decide",
    ),
    Immaterial(("hardware.memory_gib",), "what follows from the memory of a device stands in args"),
)

# Pattern of keys -> value as it is spelled today -> as expctl 0.1 spelled it.
_KINDS = {current: old for old, current in OLD_SPELLINGS.items()}
SPELLINGS: Spellings = {"algorithm.kind": _KINDS, "dataset.kind": _KINDS, "callbacks.*.dataset.kind": _KINDS}

# What was immaterial to the ids of expctl 0.1, and the other immaterial settings that its config files set.
IMMATERIAL_IN_0_1 = (
    "tracker",
    "force",
    "name",
    "hardware.hang_minutes",
    "args.report_to",
    "args.run_name",
    "args.output_dir",
    "args.disable_tqdm",
    "args.log_level",
    "args.logging_steps",
    "args.logging_first_step",
)
SHIPPED_IN_0_1 = {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 2}


_FROM_0_1: Spellings = {keys: {before: now for now, before in spelling.items()} for keys, spelling in SPELLINGS.items()}


def matches(key: str, pattern: str) -> bool:
    """Whether a dotted key is one of a pattern: a key, with at most one star that stands for any characters."""
    before, star, after = pattern.partition("*")
    if not star:
        return key == pattern
    return len(key) >= len(before) + len(after) and key.startswith(before) and key.endswith(after)


def reason_immaterial(key: str, settings: FlatConfig) -> str | None:
    """Why a setting cannot change the result of an experiment with these settings; None where it can."""
    for rule in _rules_of(key):
        if not rule.unless(settings):
            return rule.reason
    return None


@cache
def _rules_of(key: str) -> tuple[Immaterial, ...]:
    """The rules for a key: the jobs of a sweep and the runs of a listing all have the same keys."""
    return tuple(rule for rule in IMMATERIAL if any(matches(key, pattern) for pattern in rule.keys))


def follows_seed(key: str, value: Any, seed: Any) -> bool:
    """Whether a setting is the run's seed under another key: runs that differ in it alone repeat each other."""
    return key.rpartition(".")[2].rpartition("_")[2] == "seed" and value == seed


def decisive_part(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a nested config that can change the result, in today's spelling.

    Raises:
        AttributeError: the config is no mapping.
    """
    settings = dict(leaves(config))
    kept = _without(config, lambda key: reason_immaterial(key, settings) is not None)
    return _respelled(kept, _FROM_0_1)


def normal_form(config: dict[str, Any]) -> dict[str, Any]:
    """The decisive part as it is hashed: an experiment of expctl 0.1 with its immaterial settings at their defaults."""
    settings = dict(leaves(config))
    form = _respelled(decisive_part(config), SPELLINGS)
    fixed = {key: value for key, value in SHIPPED_IN_0_1.items() if reason_immaterial(f"args.{key}", settings)}
    return form | {"args": form.get("args", {}) | fixed, "hardware": form.get("hardware", {})}


def form_of_0_1(config: dict[str, Any]) -> dict[str, Any]:
    """The decisive part by the rule of expctl 0.1, for the ids of its runs."""
    form = _respelled(_without(config, lambda key: key in IMMATERIAL_IN_0_1), SPELLINGS)
    return form | {"args": form.get("args", {}), "hardware": form.get("hardware", {})}


def without_seed(node: Any, seed: Any) -> Any:
    """Nested settings without those that follow the run's seed: what its repetitions share."""
    if isinstance(node, list):
        return [without_seed(value, seed) for value in node]
    if not isinstance(node, dict):
        return node
    return {key: without_seed(value, seed) for key, value in node.items() if not follows_seed(key, value, seed)}


def _without(node: dict[str, Any], left_out: Callable[[str], bool], prefix: str = "") -> dict[str, Any]:
    """Nested settings without some, and without the mappings that are empty then."""
    kept: dict[str, Any] = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if left_out(key):
            continue
        if not isinstance(value, dict) or not value:
            kept[name] = value
        elif inner := _without(value, left_out, f"{key}."):
            kept[name] = inner
    return kept


def _respelled(node: dict[str, Any], spellings: Spellings, prefix: str = "") -> dict[str, Any]:
    respelled = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            respelled[name] = _respelled(value, spellings, f"{key}.")
        else:
            respelled[name] = _spelled(key, value, spellings)
    return respelled


def _spelled(key: str, value: Any, spellings: Spellings) -> Any:
    for pattern, spelling in spellings.items():
        if isinstance(value, str) and matches(key, pattern):
            return spelling.get(value, value)
    return value
