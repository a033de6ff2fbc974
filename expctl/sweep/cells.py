"""The cells of a sweep, composed: what they share is composed once."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.check import check
from expctl.config.frozen import frozen
from expctl.config.hydra_errors import as_refusal
from expctl.config.merged import places
from expctl.sweep.finished import Finished


@dataclass(frozen=True)
class Cell:
    """One experiment of a sweep, or what is wrong with it, or (neither) the folder of the run that completed it.

    `words`: its overrides that not every cell has.
    """

    words: tuple[str, ...]
    overrides: tuple[str, ...]
    experiment: Experiment | None = None
    refusals: list[Refusal] = field(default_factory=list)
    done: Path | None = None


class Composer:
    """Composes cells from the sweep's own config.

    Composing takes Hydra some 50 ms, most of it for finding and merging the files of the groups. Cells that choose the
    same options differ in single values only, which Hydra itself lays over the files at the end: so they share one
    composition, and each gets its values by Hydra's own function.
    """

    def __init__(self, loader: ConfigLoader, sweep: DictConfig, *, elsewhere: bool = False):
        self._loader = loader
        self._elsewhere = elsewhere
        self._name = sweep.hydra.job.config_name
        self._hydra_words = list(sweep.hydra.overrides.hydra)
        self._parser = OverridesParser.create(config_loader=loader)
        self._bases: dict[tuple[str, ...], tuple[DictConfig, DictConfig, dict[str, str]]] = {}
        self._parsed: dict[str, Override] = {}
        self.finished = Finished(loader, sweep)

    def cells(self, jobs: Sequence[Sequence[str]]) -> list[Cell]:
        """Compose and check each job's overrides; what is wrong stands in its cell."""
        common = set.intersection(*(set(job) for job in jobs)) if len(jobs) > 1 else set()
        return [self._cell(tuple(job), tuple(word for word in job if word not in common)) for job in jobs]

    def _cell(self, overrides: tuple[str, ...], words: tuple[str, ...]) -> Cell:
        if done := self.finished.run_of(overrides):
            return Cell(words, overrides, done=done)
        try:
            experiment = self.compose(overrides)
        except Refusal as refusal:
            return Cell(words, overrides, refusals=[refusal])
        return Cell(words, overrides, experiment, check(experiment))

    def compose(self, overrides: Sequence[str]) -> Experiment:
        """The experiment of a job's overrides, unchecked.

        Raises:
            Refusal: they do not compose.
        """
        try:
            return self._compose(overrides)
        except Refusal:
            raise
        except Exception as error:
            refusal = as_refusal(error, list(overrides))
            if refusal is None:
                raise
            raise refusal from error

    def _compose(self, overrides: Sequence[str]) -> Experiment:
        parsed = [self._parse(word) for word in overrides]
        options = tuple(one.input_line for one in parsed if self._chooses(one))
        values = [one for one in parsed if not self._chooses(one)]
        if options not in self._bases:
            self._bases[options] = self._compose_options(options)
        base, hydra, files = self._bases[options]
        config = copy.deepcopy(base)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return replace(frozen(config, hydra, list(overrides), files), elsewhere=self._elsewhere)

    def _compose_options(self, options: tuple[str, ...]) -> tuple[DictConfig, DictConfig, dict[str, str]]:
        config = self._loader.load_configuration(self._name, [*self._hydra_words, *options], RunMode.RUN)
        files = places()
        HydraConfig.instance().set_config(config)
        OmegaConf.set_readonly(config, False)
        hydra = config.hydra
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config, hydra, files

    def _parse(self, word: str) -> Override:
        if word not in self._parsed:
            self._parsed[word] = self._parser.parse_override(word)
        return self._parsed[word]

    def _chooses(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, and so decides which files are merged."""
        is_group = self._loader.repository.group_exists(override.key_or_group)
        return is_group and not isinstance(override.value(), dict)
