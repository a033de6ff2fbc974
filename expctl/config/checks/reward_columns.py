"""Reward functions against what they will be called with: the columns of the data, and TRL's own keywords."""

from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.checks.trainer_parts import is_rewarded
from expctl.config.source.lookup import ClassDefinition, Definition, FunctionDefinition, find
from expctl.config.source.signature import signature
from expctl.data.edits import solution_columns
from expctl.data.located import LOADERS, training_source
from expctl.data.parts import MIXTURE, parts_of
from expctl.data.peek import columns_of

# What every reward function is called with beside the columns of the data.
GIVEN = (
    "prompts",
    "completions",
    "completion_ids",
    "trainer_state",
    "log_extra",
    "log_metric",
    "truncated",
    "unfinished",
)
# Loader -> the columns of its prompts; those of a user's own loader are not known.
COLUMNS = {
    "expctl.data.arithmetic.load": ("prompt", "answer"),
    "expctl.data.gsm8k.load": ("prompt", "answer"),
    "expctl.data.reasoning_gym.load": ("prompt", "answer", "task", "entry"),
}


def check_reward_columns(experiment: Experiment) -> list[Refusal]:
    """Refuse reward functions that need a column which is not there, or that do not take the columns that are."""
    config = experiment.config
    refusals = []
    if is_rewarded(experiment):
        for dataset in _alone(config["dataset"]):
            refusals += _check(experiment, dataset, mapping(config["reward"]["functions"]), "reward.functions")
    sampled = mapping(mapping(config["callbacks"]).get("completions"))
    if sampled.get("_target_") == "expctl.worker.completions.EvaluateCompletions":
        functions = mapping(mapping(sampled.get("reward")).get("functions"))
        for dataset in _alone(mapping(sampled.get("dataset"))):
            refusals += _check(experiment, dataset, functions, "reward.functions")
    return list({str(refusal): refusal for refusal in refusals}.values())


def _alone(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """The data sets of a group that have rows of their own: itself or the sources of a mixture, and further sets."""
    parts = [part for _, part in parts_of(dataset) if isinstance(part, dict)]
    return parts if dataset.get("_target_") == MIXTURE else [dataset, *parts]


def _check(experiment: Experiment, dataset: dict[str, Any], functions: dict[str, Any], key: str) -> list[Refusal]:
    columns = _columns(dataset)
    refusals = []
    for name, node in functions.items():
        called = called_function(mapping(node).get("_target_"), experiment)
        if called is None:
            continue
        where = experiment.set_by(f"{key}.{name}")
        if not signature(called).accepts_any:
            refusals.append(_closed(name, called, where))
        elif columns is not None:
            refusals += _lacking(name, called, node, columns, where)
    return refusals


def called_function(target: Any, experiment: Experiment) -> Definition | None:
    """The function that is called with completions: the target or its `__call__`; None where no source shows it."""
    definition = find(target, experiment.code_folders)
    if isinstance(definition, ClassDefinition):
        return find(f"{target}.__call__", experiment.code_folders)
    return definition if isinstance(definition, FunctionDefinition) else None


def _columns(dataset: dict[str, Any]) -> list[str] | None:
    """The columns that the rows will have; None where only the loader knows."""
    if dataset.get("_target_") in COLUMNS:
        return list(COLUMNS[dataset["_target_"]])
    if dataset.get("_target_") not in LOADERS or not dataset.get("path"):
        return None
    try:
        source = training_source(dataset)
        existing = None if source is None else columns_of(source)
    except (OSError, ValueError):
        return None  # what is wrong with the data is said by another check
    if existing is None:
        return None
    return [*existing, *mapping(dataset.get("columns"))]


def _lacking(name: str, called: Definition, node: dict[str, Any], columns: list[str], where: str) -> list[Refusal]:
    """Refuse a reward that needs columns which the data do not have."""
    absent = [column for column in needed_columns(called, node) if column not in columns]
    return [
        Refusal(
            f"the reward '{name}' needs a column '{column}', and the data have {', '.join(columns)}",
            where=where,
            nearest=nearest(column, columns),
            do=_remedy(column, columns),
        )
        for column in absent
    ]


def _remedy(column: str, columns: list[str]) -> str:
    """How the data come to have a column."""
    solved = column == "answer" and any(name in columns for name in solution_columns({}))
    rule = "dataset.answer=last_number (or boxed, after_hashes, a regular expression) takes it from what is answered; "
    other = f"dataset.columns.{column}=<column> for a file of yours, or another reward (expctl list reward)"
    return f"{rule}{other}" if solved else other


def needed_columns(called: Definition, node: dict[str, Any]) -> list[str]:
    """The columns of the data that a function cannot be called without."""
    needed = [
        parameter.name
        for parameter in signature(called).parameters.values()
        if parameter.default is None and parameter.name != "self" and parameter.name not in node
    ]
    return [column for column in needed if column not in GIVEN]


def _closed(name: str, called: Definition, where: str) -> Refusal:
    """The refusal of a reward without `**kwargs`."""
    return Refusal(
        f"the reward '{name}' takes no further keywords, and is given every column of the data and more",
        where=where,
        do=f"add **kwargs to {called.name} ({called.file.name}, line {called.line})",
    )
