"""What may stand under the key `hydra`: it is Hydra's own, and some of it runs code before any experiment is composed.

Hydra instantiates callbacks, sweeper and launcher, configures logging with classes and factories that a config names,
makes folders, and searches packages for config files. All of it is held to what expctl allows elsewhere.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import at, every_leaf, mapping
from expctl.base.refusal import Refusal
from expctl.base.words import dotted_key_of
from expctl.config.checks.targets import ALLOWED, check_nodes
from expctl.config.sweep_plugins import OWN, Plugin, plugin_refusal

# Runs have a folder of their own, and a log in it.
FIXED: dict[str, tuple[object, ...]] = {
    "run.dir": (".",),
    "sweep.dir": ("outputs/sweeps/hydra",),
    "sweep.subdir": (".",),
    "output_subdir": (None,),
    "job.chdir": (None, False),
}
LOGGING = ("job_logging", "hydra_logging")
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


def guard_hydra(words: Sequence[str]) -> None:
    """Have every composition of Hydra's checked, before anything is made of it.

    Raises:
        Refusal: a word has Hydra search a package that is not allowed.
    """
    _check_search_path(words)
    _guard_compositions()


@cache
def _guard_compositions() -> None:
    """Once a process: have Hydra's loader check what it has composed."""
    load = ConfigLoaderImpl.load_configuration

    def load_and_check(self: ConfigLoaderImpl, *given: Any, **named: Any) -> DictConfig:
        composed = load(self, *given, **named)
        if composed.hydra.job.config_name is not None:  # else Hydra composes its own help
            check_hydra(composed.hydra)
        return composed

    ConfigLoaderImpl.load_configuration = load_and_check  # type: ignore[method-assign]  # Hydra has no hook here


def allow_sweep_folder(folder: Path) -> None:
    """Let the jobs of a submission, which this process composes, have its folder for what Hydra might write."""
    FIXED["sweep.dir"] = (*FIXED["sweep.dir"], str(folder))


def check_hydra(node: DictConfig) -> None:
    """Refuse what must not stand in Hydra's own part of a composed config.

    Raises:
        Refusal: a target outside the allowed packages, another launcher, sweeper, folder or log.
    """
    config = mapping(OmegaConf.to_container(node, resolve=False))
    words = [str(word) for kind in config["overrides"].values() for word in kind]
    for plugin in OWN:
        _check_plugin(plugin, config.get(plugin), words)
    for key, allowed in FIXED.items():
        _check_fixed(key, allowed, config, words)
    for key in LOGGING:
        _check_logging(f"hydra.{key}", config.get(key), words)
    rest = {key: value for key, value in config.items() if key not in LOGGING}
    for key in OWN:
        rest[key] = {name: value for name, value in rest[key].items() if name != "_target_"}
    refusals = check_nodes({"hydra": rest}, [Path.cwd()], lambda key: _where_set(key.removesuffix("._target_"), words))
    if refusals:
        raise refusals[0]


def _check_plugin(plugin: Plugin, node: Any, words: list[str]) -> None:
    target = node.get("_target_") if isinstance(node, dict) else None
    if target in OWN[plugin].values():
        return
    typed = next((word for word in words if word.startswith((f"hydra/{plugin}=", f"hydra.{plugin}"))), "")
    where = f"{typed} (command line)" if typed else f"hydra/{plugin}, a config file ({target})"
    raise plugin_refusal(plugin, typed.partition("=")[2], where)


def _check_fixed(key: str, allowed: tuple[object, ...], config: dict[str, Any], words: list[str]) -> None:
    value = at(config, *key.split("."))
    if value not in allowed:
        raise Refusal(
            f"'hydra.{key}' is expctl's own, it is {value!r}",
            where=_where_set(f"hydra.{key}", words),
            do="leave it out; EXPCTL_OUTPUTS=FOLDER has runs elsewhere than in outputs/",
        )


def _check_logging(key: str, node: Any, words: list[str]) -> None:
    """Handlers that write to the terminal, and nothing that `logging.config` would import, call or open."""
    for inner, value in every_leaf(node, key):
        name = inner.rpartition(".")[2]
        is_handler = ".handlers." in inner and name == "class" and value in HANDLERS
        names_code = name in ("()", "class", "factory", "filename", "config") and not is_handler
        reaches_out = isinstance(value, str) and value.startswith("ext://") and value not in STREAMS
        if names_code or reaches_out:
            raise Refusal(
                f"'{inner}' is {value!r}: Hydra's log goes to the terminal and nowhere else",
                where=_where_set(key, words),
                do="leave it out; each run has a worker.log",
            )


def _check_search_path(words: Sequence[str]) -> None:
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        packages = [re.split(r"[/.]", part)[0].strip("'\" ]") for part in value.split("pkg://")[1:]]
        unknown = [name for name in packages if name not in ALLOWED]
        if key == "hydra.searchpath" and unknown:
            raise Refusal(
                f"'hydra.searchpath' would import the package {unknown[0]}",
                where=f"{word} (command line)",
                do="name a folder: --config-dir DIR",
            )


def _where_set(key: str, words: list[str]) -> str:
    """The word that set a key, one above it, or one below it."""
    for word in words:
        typed = dotted_key_of(word)
        if key == typed or key.startswith(f"{typed}.") or typed.startswith(f"{key}."):
            return f"{word.lstrip('+')} (command line)"
    return f"{key} (a config file)"
