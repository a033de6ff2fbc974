"""Whether the code of a run may be executed: if this user's expctl made it, or else if the user says so."""

import shlex
import sys

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.runs import checkpoints
from expctl.runs.files import Run
from expctl.runs.seal import broken, seal_run

TRUST = "--trust"
MOST_FILES = 6


def ask_for_trust(verb: str, run: Run, experiment: Experiment, trusted: bool) -> None:
    """Return if the run may be executed. A run that is trusted is sealed, and not asked about again.

    `trusted`: the user has typed `--trust`.

    Raises:
        Refusal: the run was made elsewhere, and the user has not said, and cannot be asked, whether to trust it.
    """
    reason = broken(run)
    if reason is None:
        if trusted:
            _seal(run)
        return
    if not trusted and not _asked(verb, run, experiment, reason):
        raise Refusal(
            f"this run was not made here by you ({reason}), and {verb} executes its code: {_code(run, experiment)}",
            where=str(run.folder),
            do=f"look at these files; if you trust who made them: expctl {verb} {shlex.quote(str(run.folder))} {TRUST}",
        )
    _seal(run)


def _seal(run: Run) -> None:
    try:
        checkpoints.trust(run.checkpoints)
        sealed = seal_run(run) and broken(run) is None
    except (OSError, ValueError):
        sealed = False
    if not sealed:
        print("note: the run cannot be sealed as yours, so you will be asked again", file=sys.stderr)


def _asked(verb: str, run: Run, experiment: Experiment, reason: str) -> bool:
    """The user's answer, where there is a terminal to ask at."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    for line in (
        f"expctl: this run was not made here by you: {reason}",
        f"  run      {run.folder}",
        f"  command  expctl {shlex.join(experiment.overrides)}",
        f"  code     {_code(run, experiment)}",
    ):
        print(line[:500], file=sys.stderr)
    print(f"{verb} executes what these name, with your rights. Trust them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _code(run: Run, experiment: Experiment) -> str:
    """What is executed: files by their names in the run's folder, and the folder that modules are imported from."""
    files = [run.config.name]
    files += sorted(file.relative_to(run.folder).as_posix() for file in run.sources.rglob("*.py"))
    more = f" and {len(files) - MOST_FILES} more" if len(files) > MOST_FILES else ""
    named = ", ".join(name[:80] for name in files[:MOST_FILES])
    return f"{named}{more}, modules in {str(experiment.folder)[:200]}"
