"""Overlays of an algorithm: the options of algorithm/ratio, /replay, /reference and /resampling."""

import yaml

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.modules import is_known
from expctl.base.plain_data import at, mapping, sequence
from expctl.base.refusal import Refusal
from expctl.config.checks.settings import lineage
from expctl.config.groups import group_options
from expctl.config.source.lookup import find

COMPOSED = "expctl.algorithms.composed.ComposedTrainer"


def check_overlays(experiment: Experiment) -> list[Refusal]:
    """Refuse an overlay where no completions are sampled, and one that replaces a trainer of the user's own."""
    algorithm, kind = experiment.choices.get("algorithm"), experiment.config["algorithm"]["kind"]
    trainer = experiment.config["algorithm"]["trainer"].get("_target_")
    own = _own_trainer(algorithm)
    parts = lineage(find(COMPOSED))
    refusals = []
    for name, option in experiment.choices.items():
        if not name.startswith("algorithm/"):
            continue
        where = experiment.sources.get(name.replace("/", "."), f"{name}={option}")
        if experiment.config["algorithm"].get("trains") is False:
            what = f"{name}={option} changes how is trained, and algorithm={algorithm} trains nothing"
            refusals.append(Refusal(what, where=where, do=f"leave it out, or algorithm=grpo {name}={option}"))
        elif kind != PROMPT_ONLY:
            what = f"{name}={option} goes with algorithms that sample completions, not with {algorithm}"
            refusals.append(Refusal(what, where=where, do=f"leave it out, or algorithm=grpo {name}={option}"))
        elif own and is_known(own) and not _is_part(own, parts):
            what = f"{name}={option} goes with GRPO and what is made of its parts, not with {own}"
            refusals.append(Refusal(what, where=where, do=f"leave it out, or algorithm=grpo {name}={option}"))
        elif own and own != trainer and not is_known(own):
            what = f"{name}={option} takes the place of {own}, the trainer of algorithm={algorithm}"
            do = f"derive it from expctl.algorithms.composed.ComposedTrainer, and add algorithm.trainer._target_={own}"
            refusals.append(Refusal(what, where=where, do=do))
    return refusals


def _is_part(trainer: str, parts: set[str]) -> bool:
    """Whether the trainer that an overlay puts in its place has all that this one is made of."""
    definition = find(trainer)
    return definition is not None and lineage(definition) - {definition.path} <= parts


def _own_trainer(algorithm: str | None) -> str:
    """The trainer that the file of an algorithm, or one of those that it builds on, names."""
    file = group_options("algorithm").get(algorithm or "")
    if file is None:
        return ""
    values = mapping(yaml.safe_load(file.read_text(encoding="utf-8")))
    named = at(values, "algorithm", "trainer", "_target_")
    parents = [name for name in sequence(values.get("defaults")) if isinstance(name, str) and name != "_self_"]
    inherited = [_own_trainer(name) for name in reversed(parents)]
    return str(named or next(filter(None, inherited), ""))
