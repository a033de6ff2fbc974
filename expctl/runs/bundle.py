"""What a run keeps of where it came from: enough to carry it on by name, and to do it again."""

import shlex

from expctl.config.experiment import Experiment
from expctl.runs import manifest, provenance
from expctl.runs.files import Run, write_yaml


def describe(run: Run, experiment: Experiment, hashed: str) -> None:
    """Write config, overrides and manifest of a run that has not started yet."""
    write_yaml(run.config, experiment.config)
    write_yaml(run.overrides, experiment.overrides)
    manifest.create(
        run,
        name=experiment.config["name"],
        config_hash=hashed,
        command=shlex.join(["expctl", *experiment.overrides]),
        overrides=experiment.overrides,
        choices=experiment.choices,
        folder=str(experiment.folder),
        git=provenance.git(experiment.folder),
        versions=provenance.versions(),
        host=provenance.host(),
        hardware=experiment.config["hardware"],
    )
