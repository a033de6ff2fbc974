"""`python -m expctl.verify ALGORITHM ...`: run the checks, one JSON object a line as each is done.

An algorithm is a name of `expctl.algorithms.upstream`, or `NAME=CHECKS:TRAINER` of the user's own: the module of its
checks and the dotted path of its trainer.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch

from expctl.algorithms import fingerprints
from expctl.algorithms.upstream import ALGORITHMS
from expctl.verify.check import Check, CheckFailed, run_check


def checks(algorithm: str) -> Iterator[Check]:
    """The fingerprints of an algorithm, then its own checks; or, if upstream prevents their import, why."""
    _, _, own = algorithm.partition("=")
    module_name, _, trainer = own.partition(":")

    def upstream() -> float:
        changed = fingerprints.warnings_for(_located(trainer)) if own else fingerprints.check(algorithm)
        if changed:
            raise CheckFailed(*changed)
        return 0.0

    yield Check("upstream", "what is overridden in TRL and transformers is what was tested", upstream)
    try:
        module = import_module(module_name or f"expctl.verify.{algorithm}")
    except Exception as error:
        yield Check("import", "the algorithm can be imported with the installed versions", partial(_raise, error))
    else:
        yield from (value for value in vars(module).values() if isinstance(value, Check))


def _located(trainer: str) -> type:
    module, _, name = trainer.rpartition(".")
    located: type = getattr(import_module(module), name)
    return located


def _raise(error: Exception) -> float:
    raise error


def run_checks(algorithms: list[str], say: Callable[[dict[str, Any]], None]) -> None:
    """Say which checks there are, then the result of each."""
    listed = [(algorithm.partition("=")[0], check) for algorithm in algorithms for check in checks(algorithm)]
    say({"checks": [[algorithm, check.name] for algorithm, check in listed]})
    for algorithm, check in listed:
        say(run_check(algorithm, check).as_dict())


def main() -> None:
    """Trainers write what they like to the standard output, so the results have a copy of it to themselves."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)  # the model is so small that a second thread only waits for the first

    def say(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=lines, flush=True)

    run_checks(sys.argv[1:] or list(ALGORITHMS), say)


if __name__ == "__main__":
    main()
