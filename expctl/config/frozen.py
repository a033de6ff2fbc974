"""What Hydra composed, frozen into an experiment."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from expctl.base.experiment import Experiment, sources_of
from expctl.base.paths import cache_root
from expctl.base.plain_data import mapping
from expctl.config.implied import imply
from expctl.devices import detection


def register_resolvers() -> None:
    """Resolvers the config groups use: they answer for this machine, without torch."""
    OmegaConf.register_new_resolver("expctl.no_gpu", lambda: detection.visible_gpus() == 0, replace=True)
    OmegaConf.register_new_resolver(
        "expctl.bf16_gpu", lambda: detection.visible_gpus() > 0 and detection.gpu_runs_bf16(), replace=True
    )
    OmegaConf.register_new_resolver("expctl.maximize", lambda direction: direction == "maximize", replace=True)
    OmegaConf.register_new_resolver("expctl.cache", lambda name: str(cache_root() / name), replace=True)


def from_hydra(composed: DictConfig) -> Experiment:
    """Freeze what Hydra composed for this job.

    Raises:
        omegaconf.errors.OmegaConfBaseException: an interpolation that leads nowhere, or a `???` left unset.
    """
    from hydra.core.hydra_config import HydraConfig

    from expctl.config.merged import places

    hydra = HydraConfig.get()
    return frozen(composed, hydra, list(hydra.overrides.task), places())


def frozen(composed: DictConfig, hydra: DictConfig, words: list[str], places: dict[str, str]) -> Experiment:
    """The experiment of a composed config, of Hydra's own node for it, and of the words and files that it came from."""
    from expctl.config.search_path import UserConfFirst

    if OmegaConf.is_dict(composed.get("dataset")) and "reward" not in composed.dataset:
        # A dataset may bring none, and conf/reward/default.yaml asks for it.
        OmegaConf.update(composed, "dataset.reward", {}, force_add=True)
    config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    own_rewards = mapping(config.get("dataset")).pop("reward", None)
    for node in mapping(config.get("callbacks")).values():
        mapping(mapping(node).get("dataset")).pop("reward", None)  # `dataset: ${dataset}` is what loads it, there too
    if isinstance(config.get("reward"), dict) and not config["reward"].get("functions"):
        config["reward"]["functions"] = own_rewards or {}
    if _is_hollow(config.get("experiment")):
        del config["experiment"]  # the group sets keys of the others, and has none
    typed = [word.removeprefix("++") for word in words]
    sources = sources_of(typed)
    notes = imply(config, sources)
    return Experiment(
        config=config,
        choices={group: str(choice) for group, choice in _chosen(hydra)},
        overrides=typed,
        folder=Path.cwd(),
        sources=sources,
        places=places,
        notes=notes,
        config_dirs=[str(config_folder) for config_folder in UserConfFirst.extra],
    )


def _is_hollow(node: Any) -> bool:
    return isinstance(node, dict) and all(map(_is_hollow, node.values()))


def _chosen(hydra: DictConfig) -> list[tuple[str, str]]:
    """Group and option, by name; a group that is left unset has none, and a sweep is no part of its cells."""
    chosen = hydra.runtime.choices
    named = [(group, option) for group, option in chosen.items() if option is not None]
    return sorted(pair for pair in named if "hydra" not in pair[0] and pair[0] != "sweep")
