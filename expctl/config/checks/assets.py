"""Is what the experiment reads there: model, data, columns, a reward?"""

import re
from pathlib import Path

from expctl import models
from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.config.checks.model import check_model_settings
from expctl.config.checks.reward_columns import check_reward_columns
from expctl.config.checks.rewards import check_rewards
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature
from expctl.data.check import check_dataset
from expctl.models.files import check_files


def check_inputs(experiment: Experiment) -> list[Refusal]:
    """Refuse a model that is not there, data that do not fit the algorithm, prompts without a reward that can run."""
    checks = (_check_model, _check_dataset, _check_reward, check_rewards)
    found = [refusal for check in checks for refusal in check(experiment)]
    return found or check_reward_columns(experiment)


def _check_model(experiment: Experiment) -> list[Refusal]:
    model = experiment.config["model"]
    try:
        location = models.resolve(model["path"], revision=model.get("revision") or "main")
        if location.kind == "folder":
            check_files(Path(location.source))
    except (FileNotFoundError, ValueError) as error:
        return [Refusal(str(error), where=set_by("model.path", experiment.sources))]
    return check_model_settings(experiment)


def _check_reward(experiment: Experiment) -> list[Refusal]:
    if experiment.config["algorithm"]["kind"] != PROMPT_ONLY or experiment.config["reward"]["functions"]:
        return []
    return [
        Refusal(
            "the algorithm learns from rewards and there is none",
            where=set_by("reward", experiment.sources),
            do="expctl list reward; or yours: reward.functions.mine._target_=my_module.my_reward "
            "reward.functions.mine._partial_=true",
        )
    ]


def _check_dataset(experiment: Experiment) -> list[Refusal]:
    dataset, kind = experiment.config["dataset"], experiment.config["algorithm"]["kind"]
    if dataset.get("kind", kind) != kind:
        return [
            Refusal(
                f"the algorithm learns from {kind} data, the dataset gives {dataset['kind']} data",
                where=set_by("dataset.kind", experiment.sources),
                do="leave dataset.kind out: it follows the algorithm",
            )
        ]
    if missing := _missing_keywords(experiment):
        return missing
    try:
        check_dataset(dataset)
    except (FileNotFoundError, ValueError) as error:
        named = re.match(r"dataset\.\w+", str(error))
        key = named[0] if named and named[0] in experiment.sources else "dataset"
        return [Refusal(str(error), where=set_by(key, experiment.sources))]
    return []


def _missing_keywords(experiment: Experiment) -> list[Refusal]:
    """Keywords that the loader of the dataset needs and nothing gives, such as `~dataset.kind` leaves behind."""
    dataset = experiment.config["dataset"]
    loader = find(dataset.get("_target_"), experiment.code_folders)
    if loader is None or dataset.get("_args_"):
        return []
    required = [name for name, field in signature(loader).parameters.items() if field.default is None]
    return [
        Refusal(
            f"'dataset.{name}' is missing: {dataset['_target_']} needs it",
            where=set_by(f"dataset.{name}", experiment.sources),
            do=f"dataset.{name}=..., or leave the override that takes it away out",
        )
        for name in required
        if name not in dataset
    ]
