"""What the group `reward` says of its functions by name: weights, gates, time limits and retries."""

import ast
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.checks.reward_columns import called_function, needed_columns
from expctl.config.source.lookup import Definition
from expctl.config.source.signature import signature

FINISHED, ALWAYS = "finished", "always"
# Key of the group -> what it does to a function.
BY_NAME = {"weights": "weighs", "gates": "is before", "time_limit": "limits", "retries": "repeats"}


def check_reward_settings(experiment: Experiment) -> list[Refusal]:
    """Refuse settings for functions that are not there, and values that they cannot have."""
    reward = experiment.config["reward"]
    functions = mapping(reward["functions"])
    refusals = []
    for key, does in BY_NAME.items():
        for name, value in mapping(reward.get(key)).items():
            where = experiment.set_by(f"reward.{key}.{name}")
            if name not in functions:
                what = f"'reward.{key}.{name}' {does} no reward"
                refusals.append(Refusal(what, where=where, nearest=nearest(str(name), functions)))
            elif fault := FAULTS[key](value):
                refusals.append(Refusal(f"'reward.{key}.{name}' is {value!r}; {fault}", where=where))
    return refusals or _check_gates(experiment, functions) + _check_limits(experiment, functions)


def _check_gates(experiment: Experiment, functions: dict[str, Any]) -> list[Refusal]:
    gates = mapping(experiment.config["reward"].get("gates"))
    refusals = []
    for name, condition in gates.items():
        where = experiment.set_by(f"reward.gates.{name}")
        known = [*functions, FINISHED, ALWAYS]
        if condition not in known:
            what = f"'reward.gates.{name}' is '{condition}', which is no reward"
            refusals.append(
                Refusal(what, where=where, nearest=nearest(condition, known), do=f"one of {', '.join(known)}")
            )
        elif name in _behind(name, gates):
            what = f"'reward.gates.{name}' leads back to '{name}'"
            refusals.append(Refusal(what, where=where, do="let one of them count by itself"))
        elif condition == ALWAYS and not _is_gated_by_itself(mapping(functions[name]), experiment):
            what = f"'reward.gates.{name}' is {ALWAYS}, and '{name}' decides itself on what did not finish"
            refusals.append(Refusal(what, where=where, do="leave it out"))
    return refusals


def _is_gated_by_itself(node: dict[str, Any], experiment: Experiment) -> bool:
    """Whether a function gives nothing, unless told to, for a completion that did not finish (`must_finish`)."""
    called = called_function(node.get("_target_"), experiment)
    if called is None:
        return True  # no source shows it
    asks_itself = {"truncated", "unfinished"} & signature(called).parameters.keys()
    return bool(needed_columns(called, node)) and not asks_itself


def _behind(name: str, gates: dict[str, str]) -> list[str]:
    """The conditions of a reward, theirs, and so on."""
    found: list[str] = []
    while name in gates and gates[name] not in found:
        name = gates[name]
        found.append(name)
    return found


def _check_limits(experiment: Experiment, functions: dict[str, Any]) -> list[Refusal]:
    """Refuse a time limit for a function that does not wait, as far as its source shows."""
    refusals = []
    for name in mapping(experiment.config["reward"].get("time_limit")):
        called = called_function(mapping(functions[name]).get("_target_"), experiment)
        if called is not None and not _waits(called):
            refusals.append(
                Refusal(
                    f"the reward '{name}' has a time limit, and is no `async def`: a call that does not wait cannot be "
                    "ended",
                    where=experiment.set_by(f"reward.time_limit.{name}"),
                    do=f"make {called.name} an `async def` ({called.file.name}, line {called.line}), or leave it out",
                )
            )
    return refusals


def _waits(called: Definition) -> bool:
    """Whether a function is asynchronous, or may be: a decorator can make it so."""
    return not isinstance(called.node, ast.FunctionDef) or bool(called.node.decorator_list)


def _weight_fault(value: Any) -> str | None:
    if _is_number(value):
        return None
    pairs = value if isinstance(value, list) else []
    if not pairs or not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs):
        return "a weight is a number, or a list of pairs [step, weight]"
    steps = [pair[0] for pair in pairs]
    return None if steps == sorted(set(steps)) else "the steps of a schedule must rise"


def _gate_fault(value: Any) -> str | None:
    return None if isinstance(value, str) else f"it must be the name of a reward, {FINISHED} or {ALWAYS}"


def _limit_fault(value: Any) -> str | None:
    return None if _is_number(value) and value > 0 else "it must be a number of seconds above 0"


def _retries_fault(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if is_count else "it must be a whole number, 0 or more"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


FAULTS = {"weights": _weight_fault, "gates": _gate_fault, "time_limit": _limit_fault, "retries": _retries_fault}
