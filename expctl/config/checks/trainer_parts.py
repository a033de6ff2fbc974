"""What an experiment gives to its trainer, against what the trainer's constructor takes."""

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature


def check_trainer_parts(experiment: Experiment) -> list[Refusal]:
    """Refuse an adapter for a trainer that trains all weights."""
    if not experiment.config["peft"] or takes(experiment, "peft_config"):
        return []
    target = experiment.config["algorithm"]["trainer"].get("_target_")
    return [
        Refusal(
            f"algorithm={experiment.choices.get('algorithm')} trains all weights: {target} takes no adapter",
            where=experiment.set_by("peft"),
            do="peft=none; or an algorithm that takes one, such as grpo",
        )
    ]


def is_rewarded(experiment: Experiment) -> bool:
    """Whether the algorithm samples completions and learns from their rewards."""
    return experiment.config["algorithm"]["kind"] == PROMPT_ONLY and takes(experiment, "reward_funcs")


def takes(experiment: Experiment, keyword: str) -> bool:
    """Whether the trainer's constructor takes a keyword; true where its source cannot tell."""
    definition = find(experiment.config["algorithm"]["trainer"].get("_target_"), experiment.code_folders)
    if definition is None:
        return True
    found = signature(definition)
    return keyword in found.parameters or found.accepts_any
