"""What Hydra composed, frozen: plain containers, everything resolved, and how each value was set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from expctl.config.implied import imply
from expctl.launch import devices
from expctl.nested import mapping
from expctl.places import cache_root


@dataclass(frozen=True)
class Experiment:
    """One composed experiment; the parent checks it, the worker builds from it."""

    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    folder: Path
    sources: dict[str, str] = field(default_factory=dict)
    # Dotted key -> the config file and line that set it, for the run to keep.
    places: dict[str, str] = field(default_factory=dict)
    # Which settings of files gave way to typed ones (see `expctl.config.implied`).
    notes: list[str] = field(default_factory=list)
    # Launched by torchrun or srun: they, not expctl, have placed the processes.
    in_group: bool = False
    # A cell that another machine is to run: what this one has says nothing about it.
    elsewhere: bool = False
    # Folders of config groups named on the command line.
    config_dirs: list[str] = field(default_factory=list)
    # The user's code as a run has kept it: when that is done again, it goes before the working folder's.
    code: Path | None = None

    @property
    def code_folders(self) -> list[Path]:
        """Where the user's own modules are looked for, the first that has one counts."""
        return [*filter(None, [self.code]), self.folder]

    def label(self, group: str) -> str:
        """The name of what was chosen in a group and in those below it; a local path is called after its file."""
        below = {name: option for name, option in self.choices.items() if name.startswith(f"{group}/")}
        parts = [name.rpartition("/")[2] if option == "on" else option for name, option in below.items()]
        choice = "_".join([self.choices.get(group) or "none", *parts])
        path = mapping(self.config.get(group)).get("path")
        if choice in ("local", "files") and path:
            # A dot in the name of a model is part of it: Qwen3-0.6B.
            named = Path(str(path)).name if group == "model" else Path(str(path)).stem
            return named.lower()
        return choice


def register_resolvers() -> None:
    """Resolvers the config groups use: they answer for this machine, without torch."""
    OmegaConf.register_new_resolver("expctl.no_gpu", lambda: devices.visible_gpus() == 0, replace=True)
    OmegaConf.register_new_resolver(
        "expctl.bf16_gpu", lambda: devices.visible_gpus() > 0 and devices.gpu_runs_bf16(), replace=True
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


def sources_of(typed: list[str]) -> dict[str, str]:
    """Dotted key -> the override that set it; a key that no override names came from a file."""
    sources = {}
    for override in typed:
        key = override.lstrip("+~").split("=", 1)[0].replace("/", ".")
        sources[key.split("@")[0]] = f"{override.lstrip('+')} (command line)"
    return sources
