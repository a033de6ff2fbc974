"""The run that a verb is given by name, and its experiment."""

import shlex

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.launch.launched import group_of_this_process
from expctl.runs import manifest
from expctl.runs.bundle import rebuild
from expctl.runs.files import Run
from expctl.runs.find import find


def named_run(verb: str, words: list[str]) -> Run:
    """The run that follows a verb.

    Raises:
        Refusal: no run is named, more was typed, or this is a process of a launched group.
    """
    typed = f"{shlex.join([verb, *words])} (command line)"
    if group_of_this_process() is not None:
        raise Refusal(
            f"{verb} does not work inside a distributed launch, where each process would do it",
            where=typed,
            do=f"expctl {shlex.join([verb, *words])} alone starts as many processes as the run has; "
            "under the launcher, type the run's own command",
        )
    if not words or words[0].startswith("-"):
        raise Refusal(
            f"{verb} needs a run", where=typed, do=f"expctl {verb} RUN: an id, the beginning of one, or a path"
        )
    run = find(words[0])
    if words[1:]:
        command = manifest.recorded(run).command or "expctl"
        raise Refusal(
            f"{verb} takes a run as it was started; a changed setting is another run",
            where=typed,
            do=f"expctl {verb} {words[0]}, or for the other run: {command} {shlex.join(words[1:])}",
        )
    return run


def as_it_was(run: Run) -> Experiment:
    """The experiment that a run was started with.

    Raises:
        Refusal: the files that say so are damaged.
    """
    again = "type its command again"
    if manifest.read(run) is None:
        raise Refusal("the run's run.json cannot be read", where=str(run.manifest), do=again)
    try:
        return rebuild(run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(f"the run's files are damaged: {error}", where=str(run.folder), do=again) from error
