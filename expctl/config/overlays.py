"""Overlays of an algorithm: the options of algorithm/ratio, algorithm/replay and algorithm/reference."""

import yaml

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.modules import is_known
from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.config.groups import group_options


def check_overlays(experiment: Experiment) -> list[Refusal]:
    """Refuse an overlay where no completions are sampled, and one that replaces a trainer of the user's own."""
    algorithm, kind = experiment.choices.get("algorithm"), experiment.config["algorithm"]["kind"]
    trainer = experiment.config["algorithm"]["trainer"].get("_target_")
    own = _own_trainer(algorithm)
    refusals = []
    for name, option in experiment.choices.items():
        if not name.startswith("algorithm/"):
            continue
        where = experiment.sources.get(name.replace("/", "."), f"{name}={option}")
        if kind != PROMPT_ONLY:
            what = f"{name}={option} goes with algorithms that sample completions, not with {algorithm}"
            refusals.append(Refusal(what, where=where, do=f"leave it out, or algorithm=grpo {name}={option}"))
        elif own and own != trainer and not is_known(own):
            what = f"{name}={option} takes the place of {own}, the trainer of algorithm={algorithm}"
            do = f"derive it from expctl.algorithms.composed.ComposedTrainer, and add algorithm.trainer._target_={own}"
            refusals.append(Refusal(what, where=where, do=do))
    return refusals


def _own_trainer(algorithm: str | None) -> str:
    """The trainer that the file of an algorithm names; empty where the file inherits it."""
    file = group_options("algorithm").get(algorithm or "")
    if file is None:
        return ""
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    return str(at(values, "algorithm", "trainer", "_target_") or "")
