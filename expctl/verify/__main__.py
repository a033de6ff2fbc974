"""`python -m expctl.verify ALGORITHM ...`: carry the proofs out, one JSON object a line as each is done."""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module

import torch

from expctl.algorithms import fingerprints
from expctl.algorithms.upstream import ALGORITHMS
from expctl.verify.check import CheckFailed, Proof, verdict


def proofs(algorithm: str) -> Iterator[Proof]:
    """The fingerprints of an algorithm, then its own proofs; or, on an upstream too foreign to import, why not."""

    def upstream() -> float:
        changed = fingerprints.check(algorithm)
        if changed:
            raise CheckFailed(*changed)
        return 0.0

    yield Proof("upstream", "what is overridden in TRL and transformers is what was tested", upstream)
    try:
        own = import_module(f"expctl.verify.{algorithm}").PROOFS
    except Exception as error:
        own = (Proof("import", "the algorithm can be imported with the installed versions", partial(_raise, error)),)
    yield from own


def _raise(error: Exception) -> float:
    raise error


def prove(algorithms: list[str], say) -> None:
    """Say which proofs there are, then each verdict."""
    listed = [(algorithm, proof) for algorithm in algorithms for proof in proofs(algorithm)]
    say({"proofs": [[algorithm, proof.name] for algorithm, proof in listed]})
    for algorithm, proof in listed:
        say(verdict(algorithm, proof).as_dict())


def main() -> None:
    """Trainers write what they like to the standard output, so the verdicts keep it to themselves."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)  # the model is so small that a second thread only waits for the first

    def say(content: dict) -> None:
        print(json.dumps(content), file=lines, flush=True)

    prove(sys.argv[1:] or list(ALGORITHMS), say)


if __name__ == "__main__":
    main()
