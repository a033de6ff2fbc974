"""`expctl prune [RUN ...]`: free the disk of checkpoints that nobody needs any more."""

import sys
from collections.abc import Sequence

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.base.words import counted
from expctl.cli.options import take
from expctl.runs.catalogue import catalogue
from expctl.runs.find import find
from expctl.runs.output_folders import outputs_folders
from expctl.runs.prune import Prunable, prunable, prune, started_from

USAGE = "expctl prune [RUN ...] [--yes]; without a RUN, all runs of the outputs folder"
YES = "--yes"


def main(words: list[str]) -> int:
    """Say what would be deleted, ask, and delete it; 0 also where there is nothing."""
    options, names = take(words, flags=(YES,), usage=USAGE)
    everywhere = [outputs_root(), *outputs_folders()]
    known = [run for outputs in everywhere for run, _ in catalogue(outputs, everything=True)]
    runs = [find(name) for name in names] or [run for run, _ in catalogue(outputs_root(), everything=True)]
    needed = started_from(known)
    found = [prunable(run, needed) for run in sorted(runs, key=lambda run: run.run_id)]
    found = [each for each in found if each.checkpoints]
    if not found:
        print("nothing to prune: each run has no checkpoints but its last, its best, and what others start from")
        return EXIT_COMPLETED
    _print_plan(found)
    if YES not in options and not _agreed(found):
        return EXIT_COMPLETED
    return _deleted(found)


def _print_plan(found: Sequence[Prunable]) -> None:
    for each in found:
        steps = ", ".join(checkpoint.name.removeprefix("checkpoint-") for checkpoint in each.checkpoints)
        kept = ", ".join(f"{name.removeprefix('checkpoint-')} ({why})" for name, why in each.kept.items())
        print(f"{each.run.run_id}\n  delete  checkpoints {steps}  ({_megabytes(each.size)})")
        print(f"  keep    {kept or 'none: it has no complete one'}")
    print(f"\n{_total(found)}", flush=True)


def _agreed(found: Sequence[Prunable]) -> bool:
    """The user's answer. Raises Refusal where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise Refusal("nothing is deleted unless you say so", where=_total(found), do=f"expctl prune ... {YES}")
    print("Delete them? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _deleted(found: Sequence[Prunable]) -> int:
    freed, code = 0, EXIT_COMPLETED
    for each in found:
        try:
            if prune(each):
                freed += each.size
            else:
                print(f"note: {each.run.run_id} is alive now, so nothing of it is deleted", file=sys.stderr)
        except OSError as error:
            print(f"expctl: {error.filename or each.run.folder} is not deleted: {error.strerror}", file=sys.stderr)
            code = EXIT_FAILED
    print(f"freed {_megabytes(freed)}")
    return code


def _total(found: Sequence[Prunable]) -> str:
    checkpoints = counted(sum(len(each.checkpoints) for each in found), "checkpoint")
    return f"{checkpoints} of {counted(len(found), 'run')}, {_megabytes(sum(each.size for each in found))}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
