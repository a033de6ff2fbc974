"""Runs on disk without a training: what a claim writes, and an end of one's choice."""

import copy
import json
import shutil
from pathlib import Path

import expctl
from expctl.base.experiment import Experiment
from expctl.cli.hydra_app import compose
from expctl.runs import manifest
from expctl.runs.bundle import describe
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, run_id
from expctl.runs.records import Summary

TINY = Path(expctl.__file__).parent / "models" / "tiny"

CONFIG = {
    "algorithm": {"kind": "prompt-only", "trainer": {"_target_": "trl.GRPOTrainer"}},
    "model": {"path": "embedded:tiny"},
    "dataset": {"_target_": "expctl.data.arithmetic.load", "seed": 0},
    "reward": {"functions": {"mine": {"_target_": "my_rewards.short"}}, "weights": None},
    "hardware": {"num_processes": 1},
    "args": {"_target_": "trl.GRPOConfig", "learning_rate": 1e-3, "max_steps": 4, "seed": 0, "report_to": "none"},
    "tracker": {"report_to": "none"},
    "seed": 0,
    "name": None,
    "force": False,
}
CHOICES = {"algorithm": "gfpo", "model": "tiny", "dataset": "arithmetic"}


def experiment(folder: Path, **changes: object) -> Experiment:
    """An experiment of the working folder `folder`; `args__learning_rate=1.0` changes a key of its config."""
    config, overrides = copy.deepcopy(CONFIG), []
    for key, value in changes.items():
        *path, last = key.split("__")
        node = config
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
        overrides.append(f"{key.replace('__', '.')}={value}")
    return Experiment(config, CHOICES, overrides, folder)


def run_of(described: Experiment, outputs: Path | None = None, status: str = manifest.INTERRUPTED) -> Run:
    """The run of an experiment, described as when it is created, and ended with `status` at step 2."""
    hashed = config_hash(described)
    run = Run((outputs or described.folder / "outputs") / run_id(described, hashed))
    run.folder.mkdir(parents=True)
    describe(run, described, hashed)
    manifest.start_attempt(run, 0, json.loads(run.manifest.read_text())["versions"])
    manifest.end_attempt(run, status, to_step=2, exit_code=0)
    return run


def completed(*words: str, weights: Path = TINY, **told: object) -> Run:
    """The completed run that words describe in the working folder, with a copy of the embedded model as its own.

    `weights`: a folder to copy in its place; `told`: fields of its summary.
    """
    described = compose(list(words))
    hashed = config_hash(described)
    run = Run(described.folder / "outputs" / run_id(described, hashed))
    run.folder.mkdir(parents=True)
    describe(run, described, hashed)
    shutil.copytree(weights, run.model)
    Summary(**({"objective": 1.0, "objective_name": "eval_loss", "direction": "minimize", "steps": 2} | told)).write(
        run.summary
    )
    recorded = manifest.recorded(run)
    recorded.status = manifest.COMPLETED
    recorded.write(run.manifest)
    return run


def write_metrics(run: Run, rows: list[dict]) -> None:
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
