"""Where every value of a composed experiment comes from: the files and words that set it, in their order.

Hydra composes the experiment as for a run; over the files that it merged (see `expctl.config.merged`) the words that
were typed are laid.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig

from expctl.base.plain_data import leaves
from expctl.config.locate import ROOT_CONFIG
from expctl.config.merged import merged_files, name_of

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Setting:
    """One place that sets a key: the value as it is written there, and where; `deleted` where `~key` takes it away."""

    value: Any
    where: str
    deleted: bool = False


@dataclass
class Origins:
    """Dotted key of a leaf -> the places that set it, the last one counting; group -> what chose its option."""

    keys: dict[str, list[Setting]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def of(self, key: str) -> list[Setting]:
        """The places that set a key of the experiment's config; of the dataset's own rewards those of the dataset."""
        found = self.keys.get(key)
        if not found and key.startswith("reward.functions."):
            return self.keys.get(key.replace("reward.functions.", "dataset.reward.", 1), [])
        return found or []


def origins(loader: ConfigLoader, hydra: DictConfig) -> Origins:
    """Where every value of the last composition comes from: `loader` made it, `hydra` is Hydra's own node of it."""
    words = hydra.overrides
    listed = loader.compute_defaults_list(ROOT_CONFIG, [*words.hydra, *words.task], RunMode.RUN)
    found, chosen = Origins(), hydra.runtime.choices
    for merged in merged_files():
        for key, value in merged.values.items():
            found.keys.setdefault(key, []).append(Setting(value, merged.place(key)))
        group, _, option = merged.path.rpartition("/")
        if group and chosen.get(group) == option:
            found.groups[group] = name_of(_file_of(loader, merged.parent))
    _lay_words_over(found, listed)
    for group, choice in listed.overrides.override_metadata.items():
        typed = choice.external_override
        found.groups[group] = COMMAND_LINE if typed else name_of(_file_of(loader, choice.containing_config_path))
    return found


def _lay_words_over(found: Origins, listed: Any) -> None:
    for override in listed.config_overrides:
        word = override.input_line.lstrip("+")
        where = f"{word} ({COMMAND_LINE})"
        key, value = override.key_or_group, override.value()
        if override.is_delete():
            for below in [known for known in found.keys if known == key or known.startswith(f"{key}.")]:
                found.keys[below].append(Setting(None, where, deleted=True))
            continue
        for leaf, set_to in leaves({key: value}):
            found.keys.setdefault(leaf, []).append(Setting(_plain(set_to), where))


def _plain(value: Any) -> Any:
    """Hydra's quoted strings as plain ones."""
    return value.text if hasattr(value, "text") else value


def _file_of(loader: Any, config_path: str) -> Path:
    """The file of a config that is named in the list of defaults."""
    if config_path == "<root>":
        config_path = ROOT_CONFIG
    for source in loader.get_sources():
        file = Path(source.path) / f"{config_path}.yaml"
        if source.scheme() == "file" and file.is_file():
            return file
    return Path(f"{config_path}.yaml")
