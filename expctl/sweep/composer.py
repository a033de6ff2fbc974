"""The jobs of a sweep, composed: what they share is composed once."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from expctl.config.derived import with_derived
from expctl.config.frozen import frozen
from expctl.config.hydra_errors import as_refusal
from expctl.config.merged import locations
from expctl.launch.launch import Outcome
from expctl.runs.files import Run
from expctl.runs.identity import run_of
from expctl.sweep.finished import Finished
from expctl.sweep.job import Ended, Refused, SweepJob, Waiting, shared_overrides


@dataclass(frozen=True)
class _Base:
    """A composition of options alone: the config, Hydra's own node, and the files that set each key."""

    config: DictConfig
    hydra: DictConfig
    locations: dict[str, str]


class Composer:
    """Composes jobs from the sweep's own config. `runs_remotely`: other machines than this one run them.

    Composing takes Hydra some 50 ms, most of it for finding and merging the files of the groups. Jobs that choose the
    same options differ in single values only, which Hydra itself lays over the files at the end: so they share one
    composition, and each gets its values by Hydra's own function.
    """

    def __init__(self, loader: ConfigLoader, sweep: DictConfig, *, runs_remotely: bool = False):
        assert isinstance(loader, ConfigLoaderImpl), "Hydra has one loader"
        self._loader = loader
        self._runs_remotely = runs_remotely
        self._name = sweep.hydra.job.config_name
        self._hydra_words = list(sweep.hydra.overrides.hydra)
        self._parser = OverridesParser.create(config_loader=loader)
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._parsed: dict[str, Override] = {}
        self.finished = Finished(loader, sweep)

    def jobs(self, overrides: Sequence[Sequence[str]]) -> list[SweepJob]:
        """Compose and check the overrides of each job; what is wrong is in its state."""
        jobs = [tuple(job) for job in overrides]
        shared = shared_overrides(jobs)
        return [self._job(job, tuple(word.lstrip("+") for word in job if word not in shared)) for job in jobs]

    def _job(self, overrides: tuple[str, ...], words: tuple[str, ...]) -> SweepJob:
        folder = self.finished.run_of(overrides)
        if folder is not None:
            run = Run(folder)
            return SweepJob(overrides, words, Ended(run, Outcome.of_completed(run)))
        try:
            experiment = self.compose(overrides)
        except Refusal as refusal:
            return SweepJob(overrides, words, Refused((refusal,)))
        refusals = check(experiment)
        if refusals:
            return SweepJob(overrides, words, Refused(tuple(refusals)))
        return SweepJob(overrides, words, Waiting(experiment, run_of(experiment)))

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
        options = tuple(word for word in overrides if self._chooses(self._parse(word)))
        values = [self._parse(word) for word in overrides if word not in options]
        if options not in self._bases:
            self._bases[options] = self._compose_options(options)
        base = self._bases[options]
        config = copy.deepcopy(base.config)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        experiment = frozen(config, base.hydra, list(overrides), base.locations)
        return with_derived(replace(experiment, runs_remotely=self._runs_remotely))

    def _compose_options(self, options: tuple[str, ...]) -> _Base:
        config = self._loader.load_configuration(self._name, [*self._hydra_words, *options], RunMode.RUN)
        files = locations()
        HydraConfig.instance().set_config(config)
        OmegaConf.set_readonly(config, False)
        hydra = config.hydra
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return _Base(config, hydra, files)

    def _parse(self, word: str) -> Override:
        if word not in self._parsed:
            self._parsed[word] = self._parser.parse_override(word)
        return self._parsed[word]

    def _chooses(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, and so decides which files are merged."""
        is_group = self._loader.repository.group_exists(override.key_or_group)
        return is_group and not isinstance(override.value(), dict)
