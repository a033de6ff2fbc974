"""Compose with Hydra: one experiment, or the jobs of a sweep. Hydra's own flags keep working."""

import contextlib
import copy
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import hydra
import omegaconf._utils
import omegaconf.base
import omegaconf.grammar_parser
import yaml
from hydra._internal import defaults_list as hydra_defaults
from hydra._internal.defaults_list import Overrides
from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import InputDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.words import key_of
from expctl.config.batch_request import DERIVED, PROMPTS
from expctl.config.derived import with_derived
from expctl.config.frozen import from_hydra, register_resolvers
from expctl.config.hydra_errors import as_refusal
from expctl.config.hydra_node import guard_hydra
from expctl.config.locate import ROOT_CONFIG, own_conf
from expctl.config.merged import note_merges
from expctl.config.search_path import search_user_conf
from expctl.config.sweep_words import open_key

# Gives an experiment the processes that were launched.
Sized = Callable[[Experiment], Experiment]


@dataclass(frozen=True)
class Composition:
    """A composed experiment, with Hydra's own node of its config and the loader that composed it."""

    experiment: Experiment
    hydra: DictConfig
    loader: ConfigLoader


def compose(words: list[str], sized: Sized | None = None) -> Experiment | None:
    """The experiment that the words describe; None where they ask Hydra for something else, such as `--cfg job`.

    `sized`: what is done before batches follow from the number of processes.

    Raises:
        Refusal: the words do not compose, or their batches do not divide.
    """
    composition = _compose(words)
    if composition is None:
        return None
    experiment = composition.experiment
    return with_derived(sized(experiment) if sized else experiment)


def compose_traced(words: list[str]) -> Composition | None:
    """As `compose`, with what Hydra knows of where each value comes from."""
    composition = _compose(words)
    if composition is None:
        return None
    return replace(composition, experiment=with_derived(composition.experiment))


def _compose(words: list[str]) -> Composition | None:
    """The composed experiment, in which batches are as the files and words have them."""
    task = _Freeze()
    run_hydra(words, task)
    if isinstance(task.result, Exception):
        raise _as_refusal_if_hydras(task.result, words)
    if task.result is not None:
        # Hydra has set them for the job that it ran, which was to freeze the experiment.
        os.environ |= {name: str(value) for name, value in task.result.hydra.job.env_set.items()}
    return task.result


class _Freeze:
    """A task function that freezes what Hydra composed. It keeps an error, since Hydra would announce it first."""

    def __init__(self) -> None:
        self.result: Composition | Exception | None = None

    def __call__(self, composed: DictConfig) -> None:
        try:
            loader = GlobalHydra.instance().config_loader()
            node = cast(DictConfig, HydraConfig.get())  # Hydra declares its schema, and returns a DictConfig
            self.result = Composition(from_hydra(composed), node, loader)
        except Exception as error:
            self.result = error


def run_hydra(words: list[str], task: TaskFunction) -> None:
    """Have Hydra do what the words say: compose for `task`, sweep with it, or print what a flag asks for.

    Raises:
        Refusal: the words do not compose.
    """
    config_dirs, words = _take_config_dirs(words)
    _refuse_lone_sweep(words)
    _refuse_pickled_job(words)
    _hasten_omegaconf()
    _hasten_hydra()
    register_resolvers()
    search_user_conf(config_dirs)
    note_merges()
    guard_hydra(words)
    _set_mode(words)
    _show_batches()
    # Hydra prints and exits on an error of its own unless it is told to raise.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    argv_before, sys.argv = sys.argv, [sys.argv[0], *map(open_key, words)]
    try:
        hydra.main(version_base="1.3", config_path=str(own_conf()), config_name=ROOT_CONFIG)(task)()
    except Exception as error:
        raise _as_refusal_if_hydras(error, words) from error
    finally:
        sys.argv = argv_before


@cache
def _hasten_omegaconf() -> None:
    """Have OmegaConf read files by libyaml, which is several times faster, and do nothing twice that it need not.

    It derives its loader from whatever stands in `yaml`, and the class of it anew for each file; and it parses an
    interpolation where it is read and again wherever it is resolved, in each job of a sweep.
    """
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]  # put in its place on purpose
    omegaconf._utils.get_yaml_loader = cache(omegaconf._utils.get_yaml_loader)
    omegaconf.base.parse = omegaconf._utils.parse = cache(omegaconf.grammar_parser.parse)  # type: ignore[attr-defined]


@cache
def _hasten_hydra() -> None:
    """Have Hydra list the options that were chosen only for a file whose defaults refer to them (`${...}`).

    It makes that list, a fifth of its time, for every file.
    """
    list_choices = hydra_defaults._create_interpolation_map

    def list_if_asked(overrides: Overrides, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
        is_asked = any(not default.is_self() and default.is_interpolation() for default in defaults_list)
        return list_choices(overrides, defaults_list, self_added) if is_asked else OmegaConf.create()

    hydra_defaults._create_interpolation_map = list_if_asked


def _as_refusal_if_hydras(error: Exception, words: list[str]) -> Exception:
    """The refusal that says what Hydra or OmegaConf complain of; any other error as it is."""
    if isinstance(error, Refusal):
        return error
    refusal = as_refusal(error, [word for word in words if not word.startswith("--")])
    return refusal or error


def _set_mode(words: list[str]) -> None:
    """Tell Hydra whether it runs one job or many: it would compose everything once more to find out."""
    mode = RunMode.MULTIRUN if is_multirun(words) else RunMode.RUN

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> RunMode:
        return mode

    Hydra.get_mode = get_mode  # type: ignore[method-assign]  # Hydra offers no other way


@cache
def _show_batches() -> None:
    """Once a process: have `--cfg job` show the batch settings that follow from `prompts_per_step`."""
    sanitize = Hydra.get_sanitized_cfg

    def sanitized(self: Hydra, cfg: DictConfig, cfg_type: str) -> DictConfig:
        shown = sanitize(self, cfg, cfg_type)
        if cfg_type == "job" and shown.get(PROMPTS) is not None:
            with contextlib.suppress(OmegaConfBaseException):  # a path that is not set yet is shown as it is
                args = with_derived(from_hydra(copy.deepcopy(shown))).config["args"]
                for name in args.keys() & set(DERIVED):
                    OmegaConf.update(shown, f"args.{name}", args[name], force_add=True)
        return shown

    Hydra.get_sanitized_cfg = sanitized  # type: ignore[method-assign]  # Hydra offers no other way


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
    """Whether the words describe a sweep."""
    return any(word in ("-m", "--multirun", "hydra.mode=MULTIRUN") for word in words)


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
