"""The config files that Hydra merges, recorded while it does: asking it afterwards takes as long as composing."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import ResultDefault
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import leaves
from expctl.config.locate import own_conf

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class MergedFile:
    """A config file of a composition.

    Args:
        path: name of the config, `model/tiny`.
        folder: the `conf/` folder that it lies in.
        package: dotted key below which it was merged; empty for the root.
        parent: name of the config whose defaults list it.
        values: dotted key of the experiment -> value as it is written in the file.
    """

    path: str
    folder: Path
    package: str
    parent: str | None
    values: dict[str, Any]

    @property
    def file(self) -> Path:
        """The file itself; of a run that is a model, its config."""
        return self.folder / ("config.yaml" if self.is_run else f"{self.path}.yaml")

    @property
    def is_run(self) -> bool:
        """Whether it is no file of `conf/` but a run (`model=run:RUN`)."""
        return self.path.startswith("model/run:")

    @cached_property
    def name(self) -> str:
        """The file as it is shown."""
        return name_of(self.file)

    def location(self, key: str) -> str:
        """File and line of a key of the experiment: `conf/model/tiny.yaml:12`."""
        line = _lines(self.file).get(key.removeprefix(f"{self.package}.") if self.package else key)
        return f"{self.name}:{line}" if line else self.name


# Those of the last composition.
_last: list[MergedFile] = []


@cache
def note_merges() -> None:
    """Have Hydra record the files of each composition from now on; once a process."""
    compose, load = ConfigLoaderImpl._compose_config_from_defaults_list, ConfigLoaderImpl._load_single_config

    def compose_anew(self: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        _last.clear()
        return compose(self, defaults, repo)

    def load_and_record(self: ConfigLoaderImpl, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        loaded = load(self, default, repo)
        package = default.package or ""
        if default.config_path is not None and package.partition(".")[0] != "hydra":
            # Copied now: Hydra merges the next files into these nodes.
            values = dict(leaves(OmegaConf.to_container(loaded.config, resolve=False)))
            folder = Path(loaded.path.partition("://")[2])
            _last.append(MergedFile(default.config_path, folder, package, default.parent, values))
        return loaded

    setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose_anew)  # noqa: B010 (mypy: a method)
    setattr(ConfigLoaderImpl, "_load_single_config", load_and_record)  # noqa: B010 (mypy: a method)


def merged_files() -> list[MergedFile]:
    """The files of the last composition except Hydra's own, in the order of merging."""
    return list(_last)


def locations() -> dict[str, str]:
    """Dotted key -> the file and line that set it last, in the last composition."""
    return {key: merged.location(key) for merged in _last for key in merged.values}


def name_of(file: Path) -> str:
    """The path of a config file as it is shown: from `conf/` on, or relative to the working folder."""
    for root in (own_conf().parent, Path.cwd()):
        if file.is_relative_to(root):
            return str(file.relative_to(root))
    return str(file)


@cache
def _lines(file: Path) -> dict[str, int]:
    """Dotted key -> its line in a YAML file."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), _SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return dict(_key_lines(node, ""))


def _key_lines(node: yaml.Node | None, above: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = f"{above}.{name.value}" if above else str(name.value)
            yield key, name.start_mark.line + 1
            yield from _key_lines(value, key)
