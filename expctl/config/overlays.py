"""The parts that are laid over an algorithm: algorithm/ratio, algorithm/replay, algorithm/reference."""

import yaml

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.config.groups import group_options

OURS = ("expctl.", "trl.")


def check_parts(experiment: Experiment) -> list[Refusal]:
    """Refuse a part over an algorithm that samples no completions, and over a trainer that it would replace."""
    algorithm, kind = experiment.choices.get("algorithm"), experiment.config["algorithm"]["kind"]
    trainer = experiment.config["algorithm"]["trainer"].get("_target_")
    own = _own_trainer(algorithm)
    found = []
    for name, option in experiment.choices.items():
        if not name.startswith("algorithm/"):
            continue
        where = experiment.sources.get(name.replace("/", "."), f"{name}={option}")
        if kind != PROMPT_ONLY:
            what = f"{name}={option} goes with algorithms that sample completions, not with {algorithm}"
            found.append(Refusal(what, where=where, do=f"leave it out, or algorithm=grpo {name}={option}"))
        elif own and own != trainer and not own.startswith(OURS):
            what = f"{name}={option} takes the place of {own}, the trainer of algorithm={algorithm}"
            do = f"derive it from expctl.algorithms.composed.ComposedTrainer, and add algorithm.trainer._target_={own}"
            found.append(Refusal(what, where=where, do=do))
    return found


def _own_trainer(algorithm: str | None) -> str:
    """The trainer that the file of an algorithm names itself; empty where it leaves that to what it builds on."""
    file = group_options("algorithm").get(algorithm or "")
    read = yaml.safe_load(file.read_text(encoding="utf-8")) if file else None
    return str(at(read, "algorithm", "trainer", "_target_") or "")
