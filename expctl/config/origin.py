"""The origin of every value of a composed experiment: the files and words that set it, in their order.

Hydra composes the experiment as for a run. The typed words follow the files that it merged (`expctl.config.merged`).
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import leaves
from expctl.config.locate import ROOT_CONFIG
from expctl.config.merged import merged_files, name_of

COMMAND_LINE = "command line"
# An interpolation that has no other in it.
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
# A value that is another node.
_NODE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Setting:
    """A file or a word that sets a key: the value as it is written there. `deleted`: the word is `~key`."""

    value: Any
    where: str
    deleted: bool = False


@dataclass
class Origins:
    """Dotted key of a leaf -> its settings, of which the last counts; group -> what chose its option."""

    keys: dict[str, list[Setting]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def of(self, key: str) -> list[Setting]:
        """The settings of a key; those of the node where it is below one that stands for another (`${teacher}`)."""
        if key not in self.keys:
            key = key.replace("reward.functions.", "dataset.reward.", 1)
        above = key.rpartition(".")[0]
        while key not in self.keys and above:
            settings = self.keys.get(above)
            node = _NODE.fullmatch(str(settings[-1].value)) if settings else None
            if node:
                return self.of(f"{node[1]}.{key[len(above) + 1 :]}")
            above = above.rpartition(".")[0]
        return self.keys.get(key, [])

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


def origins_of(loader: ConfigLoader, hydra: DictConfig) -> Origins:
    """The origins of the last composition: `loader` made it, `hydra` is Hydra's own node of it."""
    words = hydra.overrides
    defaults = loader.compute_defaults_list(ROOT_CONFIG, [*words.hydra, *words.task], RunMode.RUN)
    origins, chosen = Origins(), hydra.runtime.choices
    for merged in merged_files():
        for key, value in merged.values.items():
            origins.keys.setdefault(key, []).append(Setting(value, merged.location(key)))
        group, _, option = merged.path.rpartition("/")
        if group and chosen.get(group) == option:
            origins.groups[group] = name_of(_file_of(loader, merged.parent))
    for override in defaults.config_overrides:
        _add_override(origins, override)
    for group, choice in defaults.overrides.override_metadata.items():
        is_typed = choice.external_override
        origins.groups[group] = COMMAND_LINE if is_typed else name_of(_file_of(loader, choice.containing_config_path))
    return origins


def _add_override(origins: Origins, override: Override) -> None:
    """Add what a typed word sets, or takes away."""
    word = override.input_line.lstrip("+") if override.input_line else ""
    where = f"{word} ({COMMAND_LINE})"
    key, value = override.key_or_group, override.value()
    if override.is_delete():
        for known, settings in origins.keys.items():
            if f"{known}.".startswith(f"{key}."):
                settings.append(Setting(None, where, deleted=True))
        return
    for leaf, set_to in leaves({key: value}):
        plain = set_to.text if isinstance(set_to, QuotedString) else set_to
        origins.keys.setdefault(leaf, []).append(Setting(plain, where))


def _file_of(loader: ConfigLoader, config_path: str | None) -> Path:
    """The file of a config that a list of defaults names; None and `<root>` are the root's."""
    if config_path in (None, "<root>"):
        config_path = ROOT_CONFIG
    for source in loader.get_sources():
        file = Path(source.path) / f"{config_path}.yaml"
        if source.scheme() == "file" and file.is_file():
            return file
    return Path(f"{config_path}.yaml")
