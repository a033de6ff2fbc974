"""Freeze a config that Hydra composed into an experiment: plain values, everything resolved."""

from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from expctl.base.data_kinds import KIND_KEYS, OLD_SPELLINGS
from expctl.base.evaluation import is_read, trains
from expctl.base.experiment import Experiment, sources_of
from expctl.base.notice import notice_once
from expctl.base.paths import cache_root
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config import merged
from expctl.config.implied import BEST, imply
from expctl.config.interpolated import Interpolated
from expctl.config.named_data import complete_datasets, dataset_nodes, longest_completion, name_objective
from expctl.config.run_as_model import option_below
from expctl.config.search_path import UserConfFirst
from expctl.config.thinking import tell_trainer
from expctl.devices import detection

# Keys of conf/ that only other keys interpolate. Their effect stands in those, and they are dropped.
COMPOSITION_ONLY = {
    "algorithm": ("learning_rate", "max_completion_length", "recipe", "toy"),
    "dataset": ("max_completion_length", "reward"),
}
# Groups of conf/ of which only others are made: `reward.functions.model.model: ${reward_model}`.
COMPOSITION_GROUPS = ("reward_model", "judge", "teacher", "reference")
# Keys of conf/ that a run keeps only where they are set.
KEPT_IF_SET = (
    "prompts_per_step",
    "hardware.rows",
    "hardware.sampled_rows",
    "hardware.memory_gib",
    "model.thinking",
    "dataset.system_prompt",
    "dataset.template",
    "dataset.answer",
    "dataset.filter",
    "dataset.rows",
    "dataset.shuffle",
    "dataset.deduplicate",
    "dataset.held_out_by",
    "dataset.levels",
    "reward.on_error",
    "reward.time_limit",
    "reward.retries",
    "reward.gates",
)
# The value with which a file of conf/ takes a field of `args` away that another file sets: its class's default counts.
UNSET = "unset"


def register_resolvers() -> None:
    """Register the resolvers of conf/: they ask this machine, without torch."""
    OmegaConf.register_new_resolver("expctl.no_gpu", lambda: detection.visible_gpus() == 0, replace=True)
    OmegaConf.register_new_resolver(
        "expctl.bf16_gpu", lambda: detection.visible_gpus() > 0 and detection.gpu_runs_bf16(), replace=True
    )
    OmegaConf.register_new_resolver("expctl.maximize", lambda direction: direction == "maximize", replace=True)
    OmegaConf.register_new_resolver("expctl.if_thinking", _if_thinking, replace=True)
    OmegaConf.register_new_resolver("expctl.longest_completion", longest_completion, replace=True)
    OmegaConf.register_new_resolver("expctl.cache", lambda name: str(cache_root() / name), replace=True)


def from_hydra(composed: DictConfig) -> Experiment:
    """Freeze what Hydra composed for this job.

    Raises:
        omegaconf.errors.OmegaConfBaseException: an interpolation that leads nowhere, or a `???` left unset.
    """
    hydra = HydraConfig.get()
    # A node of the type HydraConf.
    return frozen(composed, cast("DictConfig", hydra), list(hydra.overrides.task), merged.locations())


def frozen(composed: DictConfig, hydra: DictConfig, words: list[str], locations: dict[str, str]) -> Experiment:
    """The experiment of a composed config.

    Args:
        composed: the config, with interpolations.
        hydra: Hydra's own node of it.
        words: the overrides.
        locations: dotted key -> the file and line that set it.

    Raises:
        omegaconf.errors.OmegaConfBaseException: as `from_hydra`.
        Refusal: `algorithm.learning_rate` is no mapping.
    """
    typed = [word.removeprefix("++") for word in words]
    sources = sources_of(typed)
    _check_learning_rates(composed, sources, locations)
    _respell_kinds(composed, locations | sources)
    if OmegaConf.is_dict(composed.get("dataset")) and "reward" not in composed.dataset:
        # A dataset may bring none, and conf/reward/default.yaml asks for it.
        OmegaConf.update(composed, "dataset.reward", {}, force_add=True)
    interpolated = Interpolated(composed, sources, tuple(_composition_only()))
    behind, idle = interpolated.words_behind(), interpolated.idle()
    config = cast("dict[str, Any]", OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    complete_datasets(config)
    if isinstance(config.get("reward"), dict) and not config["reward"].get("functions"):
        config["reward"]["functions"] = mapping(config.get("dataset")).get("reward") or {}
    _drop_composition_only(config)
    _drop_null(config)
    _drop_unset(config)
    _drop_training(config, sources)
    told = tell_trainer(config, [Path.cwd()])
    if _is_hollow(config.get("experiment")):
        del config["experiment"]  # the group sets keys of the others, and has none
    given = set(mapping(config.get("args")))
    choices = {group: option_below(str(choice)) for group, choice in _chosen(hydra)}
    name_objective(config, sources)
    notes = imply(config, sources) + _unnamed_dataset(choices, sources)
    told |= {f"args.{name}": f"the algorithm's {key}" for name, key in BEST.items() if name not in given}
    return Experiment(
        config=config,
        choices=choices,
        overrides=typed,
        folder=Path.cwd(),
        sources=sources,
        locations=locations | behind | told,
        notes=notes,
        idle=idle,
        config_dirs=[str(config_folder) for config_folder in UserConfFirst.extra],
    )


def _check_learning_rates(composed: DictConfig, sources: dict[str, str], locations: dict[str, str]) -> None:
    """Refuse one number where an algorithm has a rate for all weights and one for adapters."""
    key = "algorithm.learning_rate"
    # A file's number is gone from the config once `peft` has merged its key over it.
    is_number_in_file = key in locations
    rates = OmegaConf.select(composed, key, throw_on_resolution_failure=False)
    if not is_number_in_file and (rates is None or OmegaConf.is_dict(rates)):
        return
    raise Refusal(
        f"'{key}' is a mapping with the rates `full` and `adapter`, no single value",
        where=sources.get(key) or locations.get(key, key),
        do="args.learning_rate=... for both; or algorithm.learning_rate.full=... and .adapter=...",
    )


def _respell_kinds(composed: DictConfig, locations: dict[str, str]) -> None:
    """Replace the spellings of expctl 0.1 for kinds of data, with a notice.

    Args:
        locations: dotted key -> the word, or the file and line, that set it.
    """
    for key in KIND_KEYS:
        kind = OmegaConf.select(composed, key, throw_on_resolution_failure=False)
        if isinstance(kind, str) and kind in OLD_SPELLINGS:
            OmegaConf.update(composed, key, OLD_SPELLINGS[kind])
            notice_once(f"{key}: '{kind}' is called '{OLD_SPELLINGS[kind]}' now ({locations.get(key, key)})")


def is_composition_only(key: str) -> bool:
    """Whether only other keys are made of a dotted key, or a run keeps it only where it is set."""
    above = [*_composition_only(), *(f"{group}." for group in COMPOSITION_GROUPS)]
    return key in KEPT_IF_SET or f"{key}.".startswith(tuple(above))


def _composition_only() -> list[str]:
    """The beginnings of the keys of `COMPOSITION_ONLY`."""
    return [f"{group}.{name}." for group, names in COMPOSITION_ONLY.items() for name in names]


def _drop_composition_only(config: dict[str, Any]) -> None:
    """Drop the keys of `COMPOSITION_ONLY`, and the groups that only others are made of."""
    for group in COMPOSITION_GROUPS:
        config.pop(group, None)
    for group, names in COMPOSITION_ONLY.items():
        for node in _nodes(config, group):
            for name in names:
                node.pop(name, None)


def _drop_null(config: dict[str, Any]) -> None:
    """Drop the keys of `KEPT_IF_SET` that are null."""
    for key in KEPT_IF_SET:
        group, _, name = key.rpartition(".")
        for node in _nodes(config, group) if group else [config]:
            if name in node and node[name] is None:
                del node[name]


def _nodes(config: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """The node of a group; of dataset and reward also those within callbacks (`dataset: ${dataset}`) and mixtures."""
    if group == "dataset":
        return dataset_nodes(config)
    nodes = [mapping(config.get(group))]
    if group == "reward":
        nodes += [mapping(mapping(node).get(group)) for node in mapping(config.get("callbacks")).values()]
    return nodes


def _drop_unset(config: dict[str, Any]) -> None:
    """Drop the fields of `args` that a file takes away."""
    args = mapping(config.get("args"))
    for name in [name for name, value in args.items() if value == UNSET]:
        del args[name]


def _drop_training(config: dict[str, Any], sources: dict[str, str]) -> None:
    """Of what only evaluates, drop the settings of training that the files of models and of others bring along.

    What was typed stays, for a check to refuse.
    """
    if trains(config):
        return
    args = mapping(config.get("args"))
    for name in [name for name in args if not is_read(name) and f"args.{name}" not in sources]:
        del args[name]


def _if_thinking(thinking: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """The first value where `model.thinking` is true, else the second: `${expctl.if_thinking:4096,1024}`."""
    return thinking if OmegaConf.select(_root_, "model.thinking") else otherwise


def _unnamed_dataset(choices: dict[str, str], sources: dict[str, str]) -> list[str]:
    """The note that a real model is about to be trained on the toy's data, which nobody has named."""
    if "dataset" in sources or choices.get("dataset") != "arithmetic" or choices.get("model") in ("tiny", "local"):
        return []
    return [
        f"no dataset was named, so model={choices.get('model')} has the toy's sums (dataset=arithmetic): good to try "
        "a setting, nothing to learn from; dataset=gsm8k is one for it"
    ]


def _is_hollow(node: Any) -> bool:
    return isinstance(node, dict) and all(map(_is_hollow, node.values()))


def _chosen(hydra: DictConfig) -> list[tuple[str, str]]:
    """Group and option, by name, of the groups that are set; a sweep is no part of its jobs."""
    choices = hydra.runtime.choices.items()
    return sorted(
        (group, option) for group, option in choices if option is not None and "hydra" not in group and group != "sweep"
    )
