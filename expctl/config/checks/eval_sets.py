"""Several named evaluation sets: a trainer that takes them, and metrics that are of one of them."""

from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.checks.settings import TrainerSettings
from expctl.config.thinking import SAMPLES
from expctl.data.parts import HELD_OUT, SETS, is_of_a_set, set_names

# Trainers of TRL that take one set, or none, to evaluate on.
OF_ONE_SET = ("CPOTrainer", "ORPOTrainer", "AsyncGRPOTrainer", "AsyncDistillationTrainer")


def check_eval_sets(experiment: Experiment) -> list[Refusal]:
    """Refuse named sets for a trainer that takes one, and metrics without the name of a set, or with none of them."""
    names = set_names(experiment.config["dataset"])
    if not names:
        return []
    settings = TrainerSettings(experiment)
    where = experiment.set_by(f"dataset.{SETS}" if experiment.config["dataset"].get(SETS) else "dataset.eval_by_source")
    if any(part.rpartition(".")[2] in OF_ONE_SET for part in settings.parts):
        option = experiment.choices.get("algorithm")
        what = f"algorithm={option} is not evaluated on several sets"
        return [Refusal(what, where=where, do="one set: dataset.eval_path=..., or expctl eval RUN for the others")]
    samples = [node for node in experiment.config["callbacks"].values() if mapping(node).get("_target_") == SAMPLES]
    if samples and HELD_OUT not in names:
        what = "callbacks=completions samples for all sources at once, and dataset.eval_by_source=true measures each"
        return [Refusal(what, where=where, do="leave one of them out")]
    values: dict[str, Any] = {
        "algorithm.objective": experiment.config["algorithm"]["objective"],
        "args.metric_for_best_model": settings.args["metric_for_best_model"],
    }
    return [
        Refusal(
            f"{key}={metric} names no evaluation set; there are {', '.join(names)}",
            where=experiment.set_by(key),
            nearest=[f"eval_{name}_{metric.removeprefix('eval_')}" for name in names],
            do="name the set that it is of",
        )
        for key, metric in values.items()
        if key in experiment.sources and isinstance(metric, str) and not is_of_a_set(metric, names)
    ]
