"""Where every value of a composed experiment comes from: the files and words that set it, in their order.

Hydra composes the experiment as for a run; over the files that it merged (see `expctl.config.merged`) the words that
were typed are laid.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import leaves
from expctl.config.locate import ROOT_CONFIG
from expctl.config.merged import merged_files, name_of

COMMAND_LINE = "command line"
# An interpolation that has no other in it.
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")


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

    def resolved(self, key: str) -> Any:
        """The value of a key as Hydra resolves what is written; None where it cannot."""
        return OmegaConf.select(self._written, key, throw_on_resolution_failure=False)

    def followed(self, value: Any) -> list[str]:
        """The keys that a written value is made of, each before those that it is made of itself."""
        followed: dict[str, None] = {}
        waiting = self._named_in(value)
        while waiting:
            key = waiting.pop(0)
            if key not in followed and self.of(key):
                followed[key] = None
                waiting = self._named_in(self.of(key)[-1].value) + waiting
        return list(followed)

    @cached_property
    def _written(self) -> DictConfig:
        """Every key as it was set last, with its interpolations."""
        written = OmegaConf.create()
        for key, settings in self.keys.items():
            if not settings[-1].deleted:
                OmegaConf.update(written, key, settings[-1].value, force_add=True)
        return written

    def _named_in(self, value: Any) -> list[str]:
        """The keys that the interpolations of a value name, the outermost first."""
        text, names = str(value), []
        innermost = _INNERMOST.search(text)
        while innermost:
            resolver, _, arguments = innermost[1].rpartition(":")
            if resolver:
                names += [name for name in arguments.split(",") if name in self.keys]
                inner = OmegaConf.select(OmegaConf.merge(self._written, {"_asked": innermost[0]}), "_asked")
            else:
                names.append(arguments)
                inner = self.resolved(arguments)
            if OmegaConf.is_config(inner):
                break
            text = text[: innermost.start()] + str(inner) + text[innermost.end() :]
            innermost = _INNERMOST.search(text)
        return names[::-1]


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
