"""How many completions of a prompt the update sees: a group filter that drops leaves fewer than were sampled."""

from typing import Any

from expctl.algorithms import limits
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at, mapping
from expctl.config.checks.callables import defined_by
from expctl.config.checks.combinations import ADAPTIVE, FILTERING
from expctl.config.checks.settings import lineage
from expctl.config.source.defaults import FieldValues


def largest_kept(experiment: Experiment, values: FieldValues, completions: int) -> int:
    """The most completions of a group that are left for the update.

    A filter that decides k itself is known by its settings; one of the user's own may keep the whole group.

    Args:
        experiment: the experiment, whose settings may still be wrong.
        values: its `args` with their defaults.
        completions: completions sampled of a prompt (G).
    """
    trainer = mapping(at(experiment.config, "algorithm", "trainer"))
    if values["filtered"] != "drop" or FILTERING not in lineage(defined_by(trainer, experiment)):
        return completions
    k = values["num_remains_in_group"]
    if k is None:
        k = _decided(experiment, trainer.get("group_filter_func"))
    return k if isinstance(k, int) and 2 <= k <= completions else completions


def planned_values(experiment: Experiment) -> FieldValues:
    """The fields of `args` as the memory model takes them: k is the largest that a filter which decides it may keep."""
    args = experiment.config["args"]
    values = FieldValues(args, experiment.code_folders)
    completions = values["num_generations"]
    if "num_remains_in_group" not in values or values["num_remains_in_group"] is not None or not completions:
        return values
    k = largest_kept(experiment, values, completions)
    return FieldValues(args | {"num_remains_in_group": k}, experiment.code_folders)


def _decided(experiment: Experiment, node: Any) -> int | None:
    """The largest k of a filter that decides it; None of one that does not say."""
    if ADAPTIVE not in lineage(defined_by(node, experiment)):
        return None
    quartiles = FieldValues(node if isinstance(node, dict) else {"_target_": ADAPTIVE}, experiment.code_folders)
    ks = [quartiles[name] for name in limits.QUARTILES]
    return max(ks) if all(isinstance(k, int) for k in ks) else None
