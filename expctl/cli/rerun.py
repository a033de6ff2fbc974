"""`expctl rerun RUN`: do a run again from the files that it kept, and show what came out differently."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.experiment import Experiment
from expctl.base.paths import RERUNS, first_free, outputs_of
from expctl.cli.named_run import as_it_was, named_run
from expctl.cli.start import run as run_experiment
from expctl.cli.trust import TRUST, ask_for_trust
from expctl.report.drift import print_drift
from expctl.runs import manifest
from expctl.runs.bundle import changed_files
from expctl.runs.files import Run
from expctl.runs.identity import is_same_experiment


def main(words: list[str]) -> int:
    """Do one run again; the exit code is that of the new one."""
    run = named_run("rerun", [word for word in words if word != TRUST])
    experiment = as_it_was(run)
    ask_for_trust("rerun", run, experiment, TRUST in words)
    experiment = _with_its_own_code(run, experiment)
    os.chdir(experiment.folder)
    again = Run(rerun_folder(run, experiment))
    outcome = run_experiment(experiment, again.folder)
    if outcome.exit_code in (EXIT_COMPLETED, EXIT_FAILED):
        print_drift(run, again)
    return outcome.exit_code


def _with_its_own_code(run: Run, experiment: Experiment) -> Experiment:
    """The experiment with the code that the run kept, in this folder where its own is gone (another machine)."""
    recorded = manifest.recorded(run)
    folder = experiment.folder
    if not folder.is_dir():
        print(f"note: the run's folder {folder} is not here; data are looked for in {Path.cwd()}", file=sys.stderr)
        folder = Path.cwd()
    code = run.sources
    changed = changed_files(recorded, replace(experiment, folder=folder, code=None))
    sources = [name for name in changed if name in (recorded.sources or {})]
    if sources:
        print(f"note: {', '.join(sources)} has changed since; the run's own copy is used ({code})", file=sys.stderr)
    if recorded.masked:
        names = ", ".join(recorded.masked)
        print(f"note: a secret was masked in the copy of {names}, so it may behave differently", file=sys.stderr)
    return replace(experiment, folder=folder, code=code)


def rerun_folder(run: Run, experiment: Experiment) -> Path:
    """The folder of the rerun: the last one where that was not finished, else the first that is free."""
    reruns = outputs_of(run.folder) / RERUNS
    number = first_free(reruns, run.run_id)
    last, free = reruns / f"{run.run_id}-{number - 1}", reruns / f"{run.run_id}-{number}"
    recorded = manifest.read(Run(last))
    if recorded is None or recorded.status == manifest.COMPLETED:
        return free
    return last if is_same_experiment(experiment, recorded.config_hash) else free
