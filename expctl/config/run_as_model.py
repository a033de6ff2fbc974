"""`model=run:RUN`: an option of the group `model` for every run, composed as its file would be if it had one.

It stands on the option that the run itself chose, whose batch and recipe fit the model, and lays over that the folder
of the weights and the run's own settings of the model.
"""

from pathlib import Path
from typing import Any

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.groups import group_options
from expctl.runs.bundle import read_config
from expctl.runs.handed_on import HandedOn, handed_on

GROUP, PREFIX = "model", "run:"
# The settings of a model that a run that starts from it takes over: what says how these weights are used. Never
# `trust_remote_code`, since the earlier run may be anybody's.
INHERITED = ("dtype", "attn_implementation", "thinking")

# `run:RUN` -> the option with a file that it stands on, of each that was composed.
_STANDS_ON: dict[str, str] = {}


class RunAsModel(ConfigSource):
    """Hydra's source of the configs `model/run:RUN`."""

    @staticmethod
    def scheme() -> str:
        """What its entry in the search path begins with."""
        return "expctl-run"

    def available(self) -> bool:
        """Always: it needs no folder."""
        return True

    def is_group(self, config_path: str) -> bool:
        """No: it adds options to a group that the files have."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Whether a config is a run's."""
        return config_path.startswith(f"{GROUP}/{PREFIX}")

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Nothing: there may be ten thousand runs."""
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        """The config of a run as a model.

        Raises:
            Refusal: the run does not have these weights.
        """
        word = config_path.removeprefix(f"{GROUP}/{PREFIX}").removesuffix(".yaml")
        weights = _found(word)
        option = _STANDS_ON[f"{PREFIX}{word}"] = _option(weights)
        model = {**_inherited(weights), "path": _shown(weights.folder), "run": weights.word}
        content = {"defaults": [option, "_self_"], GROUP: model}
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{weights.run.folder}",
            config=OmegaConf.create(content),
            header={"package": "_global_"},
        )


def option_below(option: str) -> str:
    """The option with a file that a composed `run:RUN` stands on; any other option as it is."""
    return _STANDS_ON.get(option, option)


def search_runs() -> str:
    """Register the source with Hydra; the entry of the search path that asks it."""
    SourcesRegistry.instance().register(RunAsModel)
    return f"{RunAsModel.scheme()}://"


def _found(word: str) -> HandedOn:
    try:
        return handed_on(word)
    except Refusal as refusal:
        nearest = [f"{GROUP}={PREFIX}{name}" for name in refusal.nearest]
        where = f"{GROUP}={PREFIX}{word} (command line)"
        raise Refusal(refusal.what, where=where, nearest=nearest, do=refusal.do) from refusal


def _option(weights: HandedOn) -> str:
    """The option that the run chose, where there is still one of that name."""
    chosen = weights.recorded.choices.get(GROUP)
    return chosen if chosen in group_options(GROUP) else "local"


def _inherited(weights: HandedOn) -> dict[str, Any]:
    """The run's settings of the model, of plain values: another's run may hold an interpolation."""
    try:
        model = mapping(read_config(weights.run).get(GROUP))
    except (OSError, ValueError):
        return {}
    settings = {name: model[name] for name in INHERITED if name in model}
    return {name: value for name, value in settings.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, str) and "${" not in value)


def _shown(folder: Path) -> str:
    """The folder from the working folder where it lies in that, so that both can be moved together."""
    folder, here = folder.resolve(), Path.cwd().resolve()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
