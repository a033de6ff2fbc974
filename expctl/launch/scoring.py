"""The rewards of given completions, from a process that imports the libraries."""

import json
from typing import Any

from expctl.base.experiment import Experiment
from expctl.launch.preflight import started


def scored(experiment: Experiment, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the experiment's reward functions give for completions (see `expctl.worker.scoring.score`).

    None where the process died without a word.
    """
    process = started(experiment, "expctl.worker.scoring")
    said, _ = process.communicate(json.dumps({"config": experiment.config, "rows": rows}) + "\n")
    answer: dict[str, Any] | None = json.loads(said or "null")
    return answer
