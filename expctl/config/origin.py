"""Where every value of a composed experiment comes from: the files and words that set it, in their order.

Hydra composes the experiment as for a run; asked again for the list of files that it merged, each is read once more by
itself, and the words that were typed are laid over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from expctl.config.locate import ROOT_CONFIG, own_conf
from expctl.nested import leaves

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


def origins() -> Origins:
    """Where everything comes from, asked while Hydra runs the job that it has composed (see `expctl.cli.hydra_app`)."""
    loader, words = GlobalHydra.instance().config_loader(), HydraConfig.get().overrides
    listed = loader.compute_defaults_list(ROOT_CONFIG, [*words.hydra, *words.task], RunMode.RUN)
    found, chosen = Origins(), HydraConfig.get().runtime.choices
    for default in listed.defaults:
        if default.config_path is None or (default.package or "").partition(".")[0] == "hydra":
            continue
        loaded = loader._load_single_config(default, loader.repository)
        file = Path(loaded.path.removeprefix("file://")) / f"{default.config_path}.yaml"
        for key, value in leaves(OmegaConf.to_container(loaded.config, resolve=False)):
            inside = key.removeprefix(f"{default.package}.") if default.package else key
            found.keys.setdefault(key, []).append(Setting(value, _place(file, inside)))
        group, _, option = default.config_path.rpartition("/")
        if group and chosen.get(group) == option:
            found.groups[group] = _name(_file_of(loader, default.parent))
    _lay_words_over(found, listed)
    for group, choice in listed.overrides.override_metadata.items():
        typed = choice.external_override
        found.groups[group] = COMMAND_LINE if typed else _name(_file_of(loader, choice.containing_config_path))
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


def _place(file: Path, key: str) -> str:
    """`conf/model/tiny.yaml:12`."""
    line = _lines(file).get(key)
    return f"{_name(file)}:{line}" if line else _name(file)


def _name(file: Path) -> str:
    """A file of expctl's from its `conf/` on, any other from the working folder on."""
    for root in (own_conf().parent, Path.cwd()):
        if file.is_relative_to(root):
            return str(file.relative_to(root))
    return str(file)


@cache
def _lines(file: Path) -> dict[str, int]:
    """Dotted key -> its line in a YAML file."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return dict(_key_lines(node, ""))


def _key_lines(node: yaml.Node | None, above: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = f"{above}.{name.value}" if above else str(name.value)
            yield key, name.start_mark.line + 1
            yield from _key_lines(value, key)
