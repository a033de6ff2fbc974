"""`expctl verify [ALGORITHM ...]`: check the algorithms on the versions that are installed here.

Those that expctl carries, and those of the user's own that have checks (see `expctl.config.own_checks`). What was found
is remembered for `expctl list algorithm`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from expctl.algorithms.upstream import ALGORITHMS
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.notice import notice_once
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.options import take
from expctl.config.algorithm_facts import YOURS, algorithm_facts
from expctl.config.groups import algorithm_file
from expctl.config.own_checks import OwnChecks, own_checks
from expctl.config.source.lookup import find
from expctl.report.verdicts import Verdicts, failures
from expctl.runs.provenance import DECISIVE, versions
from expctl.runs.verified import remember

USAGE = "expctl verify [--json] [--config-dir DIR] [ALGORITHM ...]"
# One result, as `python -m expctl.verify` prints it.
Result = dict[str, Any]

# Other names of the algorithms; `gspo` is checked with GSPO-token, which equals it where both are defined.
ALIASES = {"gspo": "gspo_token", "replay": "grpo_replay", "bema": "dpo_bema", "together": "composed"}
# Several threads, a GPU, a launcher's group or a network would only make the checks slower or their numbers others.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_", "TORCHELASTIC_", "ACCELERATE_")


def main(words: list[str]) -> int:
    """Run the checks and show their results; 0 when all passed, else 1."""
    options, names = take(words, flags=("--json",), valued=("-cd",), listed=("--config-dir",), usage=USAGE)
    as_json = options.pop("--json", None) is not None
    own = _own([Path(folder) for given in options.values() for folder in given.split(",")])
    named = [_algorithm(word, own) for word in names]
    began, error = time.monotonic(), None
    try:
        results = _run_checks(list(dict.fromkeys(named)) or [*ALGORITHMS, *own], own, show=not as_json)
    except IncompleteError as incomplete:
        results, error = incomplete.results, str(incomplete)
    passed = error is None and all(result["passed"] for result in results)
    seconds = round(time.monotonic() - began, 1)
    _remember(results, own, complete=error is None)
    if as_json:
        # The keys are a format that scripts read, older than the word check.
        head = {"proven": passed, "versions": _versions(), "seconds": seconds, "error": error}
        print(json.dumps(head | {"proofs": results}, indent=2))
    else:
        _print_closing(results, error, seconds)
    return EXIT_COMPLETED if passed else EXIT_FAILED


class IncompleteError(Exception):
    """The process of the checks ended before all were done; `results` are those of the ones that were."""

    def __init__(self, message: str, results: list[Result]):
        super().__init__(message)
        self.results = results


def _own(config_dirs: list[Path]) -> dict[str, OwnChecks]:
    """Name -> checks, of the user's own algorithms that have some."""
    found = {}
    for facts in algorithm_facts(config_dirs):
        checks = own_checks(facts["algorithm"], facts["trainer"] or "", find(facts["trainer"], [Path.cwd()]))
        if facts["status"] == YOURS and checks and checks.file.is_file():
            found[facts["algorithm"]] = checks
    return found


def _remember(results: list[Result], own: dict[str, OwnChecks], complete: bool) -> None:
    """Keep the verdicts where all checks were done; without a cache that can be written they are only shown."""
    for algorithm in {result["algorithm"] for result in results} if complete else ():
        failed = [one["name"] for one in results if one["algorithm"] == algorithm and not one["passed"]]
        try:
            remember(algorithm, failed, own[algorithm].code if algorithm in own else "")
        except OSError as error:
            notice_once(f"the verdicts are not remembered: {error}")


def _run_checks(algorithms: list[str], own: dict[str, OwnChecks], show: bool) -> list[Result]:
    """All results of `python -m expctl.verify`, shown as they come. Raises IncompleteError."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(LAUNCHER_VARIABLES)}
    words = [f"{name}={own[name].module}:{own[name].trainer}" if name in own else name for name in algorithms]
    command = [sys.executable, "-m", "expctl.verify", *words]
    # Every folder that a check or an import makes goes with this one.
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as folder:
        environment |= ENVIRONMENT | {"TMPDIR": folder}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert child.stdout is not None  # it is a pipe
        try:
            announced, results = _read_results(child.stdout, show)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        if code != 0 or announced is None or len(results) != len(announced):
            message = f"the checks broke off after {len(results)}, exit code {code}:\n{_last_lines(log)}"
            raise IncompleteError(message, results)
    return results


def _read_results(output: IO[str], show: bool) -> tuple[list[list[str]] | None, list[Result]]:
    """The (algorithm, name) of all checks, None where they were not announced, and the results that followed."""
    header = json.loads(output.readline() or "{}")
    announced = header.get("checks")
    results: list[Result] = []
    with Verdicts() if show and announced else nullcontext() as table:
        if table:
            table.begin(announced)
        for line in output:
            results.append(json.loads(line))
            if table:
                table.show(results[-1])
    return announced, results


def _algorithm(word: str, own: dict[str, OwnChecks]) -> str:
    if word in own:
        return word
    name = ALIASES.get(word.lower(), word.lower())
    if name not in ALGORITHMS:
        known = [*ALGORITHMS, *ALIASES, *own]
        if algorithm_file(word):
            raise _without_checks(word)
        raise Refusal(
            f"no algorithm '{word}' to check",
            where=f"{word} (command line)",
            nearest=nearest(word, known) or [*ALGORITHMS],
            do="expctl verify checks all of them",
        )
    return name


def _without_checks(word: str) -> Refusal:
    """The refusal of an option of the group that has no checks: TRL's own, or one of the user's that has none yet."""
    facts = next((facts for facts in algorithm_facts() if facts["algorithm"] == word), {})
    what = f"algorithm '{word}' has no checks to run"
    if facts.get("status") == YOURS:
        return Refusal(what, where=f"{word} (command line)", do="; ".join(facts["unchecked"]))
    do = f"expctl carries {', '.join(ALGORITHMS)}; the others are TRL's own"
    return Refusal(what, where=f"{word} (command line)", do=do)


def _versions() -> dict[str, str | None]:
    installed = versions()
    return {name: installed[name] for name in ("python", *DECISIVE)}


def _print_closing(results: list[Result], error: str | None, seconds: float) -> None:
    installed = ", ".join(f"{name} {number}" for name, number in _versions().items())
    passed = sum(result["passed"] for result in results)
    print(f"\n{passed} of {len(results)} checks passed on {installed} in {seconds:.0f} s")
    for line in [*failures(results), *filter(None, [error])]:
        print(f"failed: {line}", file=sys.stderr)


def _last_lines(log: IO[str], count: int = 12) -> str:
    log.seek(0)
    return "".join(log.readlines()[-count:]).rstrip()
