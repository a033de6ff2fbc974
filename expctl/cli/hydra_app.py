"""Compose with Hydra and hand each composed experiment to a verb. Hydra's own flags keep working."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import hydra
import yaml
from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import DictConfig

from expctl.config.experiment import Experiment, from_hydra, register_resolvers
from expctl.config.hydra_errors import as_refusal
from expctl.config.locate import ROOT_CONFIG, own_conf
from expctl.config.merged import note_merges
from expctl.config.refusal import Refusal
from expctl.config.search_path import search_user_conf
from expctl.config.sweep_words import key_of, open_key


def compose(
    words: list[str],
    verb: Callable[[Experiment], Any] | None = None,
    sweep: Callable[[Sequence[Any], dict[str, Any]], Sequence[Any]] | None = None,
) -> None:
    """Compose the words' experiment and call `verb` with it; of a sweep, call `sweep` with each batch of its cells.

    Raises:
        Refusal: the words do not compose.
    """
    config_dirs, words = _take_config_dirs(words)
    _refuse_lone_sweep(words)
    # OmegaConf derives its loader from whatever stands here; libyaml's reads the same language several times faster.
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    register_resolvers()
    search_user_conf(config_dirs)
    note_merges()
    # Ray's plug-in registers a preset of the same name as ours, and Hydra takes that for a schema of it.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/ray' is validated against ConfigStore schema")
    _know_the_mode(words)
    # Hydra prints and exits on an error of its own unless it is told to raise.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, [sys.argv[0], *map(open_key, words)]

    # Hydra announces an exception of a job in words of its own: keep it from Hydra's eyes, raise it afterwards.
    raised: list[BaseException] = []

    def task(composed: DictConfig) -> Any:
        if raised:
            return None
        try:
            return verb(from_hydra(composed))
        except BaseException as error:
            raised.append(error)

    task.sweep = sweep
    try:
        hydra.main(version_base="1.3", config_path=str(own_conf()), config_name=ROOT_CONFIG)(task)()
        if raised:
            raise raised[0]
    except Refusal:
        raise
    except Exception as error:
        refusal = as_refusal(error, [word for word in words if not word.startswith("--")])
        if refusal is None:
            raise
        raise refusal from error
    finally:
        sys.argv = before


def _know_the_mode(words: list[str]) -> None:
    """Tell Hydra whether it runs one job or many: it would compose everything once more to find out."""
    if not any(word.startswith("hydra.mode") for word in words):
        mode = RunMode.MULTIRUN if is_multirun(words) else RunMode.RUN
        Hydra.get_mode = lambda self, config_name, overrides: mode


def _refuse_lone_sweep(words: list[str]) -> None:
    chosen = next((word for word in words if key_of(word) == "sweep"), None)
    if chosen and not is_multirun(words):
        raise Refusal("a sweep needs -m", where=f"{chosen} (command line)", do=f"expctl -m {chosen} ...")


def is_multirun(words: list[str]) -> bool:
    return any(word in ("-m", "--multirun") for word in words)


def _take_config_dirs(words: list[str]) -> tuple[list[str], list[str]]:
    """`--config-dir DIR` is taken from Hydra, which would search it last, so that its options can replace ours."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    known, rest = parser.parse_known_args(words)
    for folder in known.config_dir:
        if not os.path.isdir(folder):
            raise Refusal(f"no folder '{folder}'", where=f"--config-dir {folder} (command line)")
    return known.config_dir, rest
