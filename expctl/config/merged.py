"""The config files that Hydra merges, noted while it does so: to ask it afterwards takes as long as composing."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf

from expctl.base.plain_data import leaves
from expctl.config.locate import own_conf

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Merged:
    """A file that was merged below `package`; `values`: dotted key of the experiment -> its value as it is written."""

    path: str
    folder: Path
    package: str
    parent: str | None
    values: dict[str, Any]

    def place(self, key: str) -> str:
        """`conf/model/tiny.yaml:12`, of a key of the experiment."""
        file = self.folder / f"{self.path}.yaml"
        line = _lines(file).get(key.removeprefix(f"{self.package}.") if self.package else key)
        return f"{name_of(file)}:{line}" if line else name_of(file)


_last: list[Merged] = []


def note_merges() -> None:
    """Have Hydra note the files of each composition from now on."""
    if hasattr(ConfigLoaderImpl, "_expctl_notes"):
        return
    compose, load = ConfigLoaderImpl._compose_config_from_defaults_list, ConfigLoaderImpl._load_single_config

    def compose_anew(self, defaults, repo):
        _last.clear()
        return compose(self, defaults, repo)

    def load_and_note(self, default, repo):
        loaded = load(self, default, repo)
        package = default.package or ""
        if default.config_path is not None and package.partition(".")[0] != "hydra":
            # Now: what follows is merged into the very nodes of this one.
            values = dict(leaves(OmegaConf.to_container(loaded.config, resolve=False)))
            folder = Path(loaded.path.removeprefix("file://"))
            _last.append(Merged(default.config_path, folder, package, default.parent, values))
        return loaded

    ConfigLoaderImpl._compose_config_from_defaults_list = compose_anew
    ConfigLoaderImpl._load_single_config = load_and_note
    ConfigLoaderImpl._expctl_notes = True


def merged_files() -> list[Merged]:
    """The files of the last composition but Hydra's own, in the order in which they were merged."""
    return list(_last)


def places() -> dict[str, str]:
    """Dotted key of the last composition -> the file and line that set it last."""
    return {key: merged.place(key) for merged in _last for key in merged.values}


def name_of(file: Path) -> str:
    """A file of expctl's from its `conf/` on, any other from the working folder on."""
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
