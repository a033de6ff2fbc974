"""Compose with Hydra and hand each composed experiment to a verb. Hydra's own flags keep working."""

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

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.frozen import from_hydra, register_resolvers
from expctl.config.hydra_errors import as_refusal
from expctl.config.hydra_node import guard_hydra
from expctl.config.locate import ROOT_CONFIG, own_conf
from expctl.config.merged import note_merges
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
    _refuse_pickled_job(words)
    # OmegaConf derives its loader from whatever stands here; libyaml's reads the same language several times faster.
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    register_resolvers()
    search_user_conf(config_dirs)
    note_merges()
    guard_hydra(words)
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
            experiment = from_hydra(composed)
        except Exception as error:
            raised.append(_said_as_refusal(error, words))
            return None
        try:
            return verb(experiment)
        except BaseException as error:
            raised.append(error)

    task.sweep = sweep
    try:
        hydra.main(version_base="1.3", config_path=str(own_conf()), config_name=ROOT_CONFIG)(task)()
    except Exception as error:
        raise _said_as_refusal(error, words) from error
    finally:
        sys.argv = before
    if raised:
        raise raised[0]


def _said_as_refusal(error: Exception, words: list[str]) -> Exception:
    """The refusal that says what Hydra or OmegaConf complain of; any other error as it is."""
    if isinstance(error, Refusal):
        return error
    refusal = as_refusal(error, [word for word in words if not word.startswith("--")])
    return refusal or error


def _know_the_mode(words: list[str]) -> None:
    """Tell Hydra whether it runs one job or many: it would compose everything once more to find out."""
    if not any(word.startswith("hydra.mode") for word in words):
        mode = RunMode.MULTIRUN if is_multirun(words) else RunMode.RUN
        Hydra.get_mode = lambda self, config_name, overrides: mode


def _refuse_lone_sweep(words: list[str]) -> None:
    chosen = next((word for word in words if key_of(word) == "sweep"), None)
    if chosen and not is_multirun(words):
        raise Refusal("a sweep needs -m", where=f"{chosen} (command line)", do=f"expctl -m {chosen} ...")


def _refuse_pickled_job(words: list[str]) -> None:
    """Hydra would unpickle the file, which runs whatever stands in it."""
    for word in words:
        name = word.partition("=")[0]
        if len(name) > 4 and "--experimental-rerun".startswith(name):  # argparse takes abbreviations
            raise Refusal(
                "expctl does not read Hydra's pickled jobs",
                where=f"{word} (command line)",
                do="expctl rerun RUN does a run again from what it has kept",
            )


def is_multirun(words: list[str]) -> bool:
    return any(word in ("-m", "--multirun") for word in words)


def _take_config_dirs(words: list[str]) -> tuple[list[str], list[str]]:
    """`--config-dir DIR` is taken from Hydra, which would search it last, so that its options can replace ours."""
    folders, rest, left = [], [], iter(words)
    for word in left:
        name, given, folder = word.partition("=")
        if name not in ("--config-dir", "-cd"):
            rest.append(word)
            continue
        folders.append(folder if given else next(left, ""))
        if not os.path.isdir(folders[-1]):
            raise Refusal(f"no folder '{folders[-1]}'", where=f"--config-dir {folders[-1]} (command line)")
    return folders, rest
