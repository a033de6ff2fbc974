"""`expctl resume RUN`: resume a run by its name, from any folder, exactly as its own command would."""

import os

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.named_run import as_it_was, named_run
from expctl.cli.start import run as run_experiment
from expctl.cli.trust import TRUST, ask_for_trust
from expctl.report.closing import print_done_already
from expctl.runs import manifest
from expctl.runs.bundle import changed_files
from expctl.runs.files import Run
from expctl.runs.identity import is_same_experiment
from expctl.runs.provenance import drift
from expctl.runs.records import Manifest


def main(words: list[str]) -> int:
    """Resume one run; the exit code is that of the run."""
    run = named_run("resume", [word for word in words if word != TRUST])
    experiment = as_it_was(run)
    recorded = manifest.read(run) or manifest.recorded(run)
    if recorded.status == manifest.COMPLETED:
        print_done_already(run, recorded)
        return EXIT_COMPLETED
    ask_for_trust("resume", run, experiment, TRUST in words)
    if not experiment.folder.is_dir():
        raise Refusal(
            f"the folder that the run was started in is gone: {experiment.folder}",
            where=str(run.manifest),
            do=f"put it back, or do the run again from here: expctl rerun {run.folder}",
        )
    os.chdir(experiment.folder)  # where its code and data are
    if not is_same_experiment(experiment, recorded.config_hash):
        raise _changed_since(run, recorded, experiment)
    return run_experiment(experiment, run.folder).exit_code


def _changed_since(run: Run, recorded: Manifest, experiment: Experiment) -> Refusal:
    """Why the run is not resumed: with other code or data it would be neither the old experiment nor the new one."""
    files = changed_files(recorded, experiment)
    named = ", ".join(f"{name} ({word})" for name, word in files.items()) or f"its {run.config.name}"
    upgrades = [change for change in drift(recorded.versions) if change.startswith("expctl ")]
    made_by = f" (made by {upgrades[0]})" if upgrades else ""
    has_code = bool(files.keys() & (recorded.sources or {}).keys())
    copy = f"as it was: {run.sources}; " if has_code else ""
    return Refusal(
        f"since the run was started this has changed: {named}{made_by}",
        where=str(experiment.folder if files else run.config),
        do=f"put it back ({copy}then resume), or type the command, which is another run now: {recorded.command}; "
        f"expctl rerun {run.run_id} does the old one again with its own code",
    )
