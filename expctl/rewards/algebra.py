"""The process that compares expressions: a pair a line on its input, true or false a line on its output.

It is run as a script, in a process of its own: sympy may take forever or all memory over an expression of ten signs
(`9^{9^{9}}`), and no thread can be stopped. Processor time and memory are limited by the system, which ends it.
"""

import json
import logging
import os
import resource
import signal
import sys
from typing import Any

SECONDS = 3  # of processor time, for one pair
_BYTES = 4 * 2**30


def main() -> None:
    """Answer pairs of LaTeX, `[expected, given]` as JSON, until the input ends."""
    # Whoever interrupts the training interrupts it; this process ends with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    sys.stdout = sys.stderr
    logging.disable(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES if most == resource.RLIM_INFINITY else min(_BYTES, most), most))
    import math_verify  # noqa: F401  (before the clock starts)

    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process, within C code too
        try:
            verdict = equal(*json.loads(line))
        except Exception:
            # Whatever sympy raises over an expression, the two were not shown to be equal.
            verdict = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(json.dumps(verdict) + "\n")


def equal(expected: str, given: str) -> bool:
    """Whether two LaTeX expressions are equal by algebra, exactly: 0.333 is not 1/3."""
    from math_verify import verify

    right, answer = _parsed(expected), _parsed(given)
    if right is None or answer is None or _is_collection(right) != _is_collection(answer):
        return False
    return bool(verify([right], [answer], float_rounding=15, numeric_precision=30, strict=True, timeout_seconds=None))


def _parsed(latex: str) -> Any:
    """The sympy expression of the LaTeX, taken as it is: no unit dropped; None where it is none."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    as_is = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="all", equations=False
    )
    form = [LatexExtractionConfig(normalization_config=as_is)]
    parsed = parse(rf"\boxed{{{latex}}}", form, fallback_mode="no_fallback", parsing_timeout=None)
    return parsed[0] if parsed else None


def _is_collection(expression: object) -> bool:
    from sympy import Set, Tuple

    return isinstance(expression, Set | Tuple)


if __name__ == "__main__":
    main()
