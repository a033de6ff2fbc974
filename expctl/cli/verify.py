"""`expctl verify [ALGORITHM ...]`: prove the algorithms on the versions that are installed here."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from typing import Any, TextIO

from expctl.algorithms.upstream import ALGORITHMS
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.report.verdicts import Verdicts, failures
from expctl.runs.provenance import DECISIVE, versions

EXIT_PROVEN, EXIT_NOT_PROVEN = 0, 1
# What else people call them; `gspo` is proven with GSPO-token, which equals it where both are defined.
ALSO = {"gspo": "gspo_token", "replay": "grpo_replay", "bema": "dpo_bema", "together": "composed"}
# Several threads, a GPU, a launcher's group or a network would only make the small numbers come later or otherwise.
QUIET = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
QUIET |= {"HF_HUB_OFFLINE": "1"}
OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_", "TORCHELASTIC_", "ACCELERATE_")


def main(words: list[str]) -> int:
    """Prove, and show; 0 when everything is proven, else 1."""
    unknown = [word for word in words if word.startswith("-") and word != "--json"]
    if unknown:
        raise Refusal(f"no option '{unknown[0]}'", where="command line", do="expctl verify [--json] [ALGORITHM ...]")
    algorithms = list(dict.fromkeys(map(_algorithm, (word for word in words if word != "--json")))) or [*ALGORITHMS]
    began, verdicts, broken = time.monotonic(), [], ""
    try:
        verdicts = _proven(algorithms, show="--json" not in words)
    except BrokenOff as error:
        verdicts, broken = error.verdicts, str(error)
    proven = not broken and all(verdict["passed"] for verdict in verdicts)
    seconds = round(time.monotonic() - began, 1)
    if "--json" in words:
        found = {"proven": proven, "versions": _versions(), "seconds": seconds, "error": broken or None}
        print(json.dumps(found | {"proofs": verdicts}, indent=2))
    else:
        _print_closing(verdicts, broken, seconds)
    return EXIT_PROVEN if proven else EXIT_NOT_PROVEN


class BrokenOff(Exception):  # noqa: N818 - what is left of the proofs
    """The process of the proofs ended before all of them; `verdicts` are those that it had come to."""

    def __init__(self, what: str, verdicts: list[dict[str, Any]]):
        super().__init__(what)
        self.verdicts = verdicts


def _proven(algorithms: list[str], show: bool) -> list[dict[str, Any]]:
    """All verdicts of `python -m expctl.verify`, shown as they come. Raises BrokenOff."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OF_A_LAUNCHER)}
    command = [sys.executable, "-m", "expctl.verify", *algorithms]
    verdicts: list[dict[str, Any]] = []
    # Every folder that a proof or an import makes goes with this one.
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as folder:
        environment = kept | QUIET | {"TMPDIR": folder}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            announced = json.loads(child.stdout.readline() or '{"proofs": null}')["proofs"]
            with Verdicts() if show and announced else nullcontext() as shown:
                if shown:
                    shown.begin(announced)
                for line in child.stdout:
                    verdicts.append(json.loads(line))
                    if shown:
                        shown.show(verdicts[-1])
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        if code != 0 or announced is None or len(verdicts) != len(announced):
            what = f"the proofs broke off after {len(verdicts)}, exit code {code}:\n{_last_lines(log)}"
            raise BrokenOff(what, verdicts)
    return verdicts


def _algorithm(word: str) -> str:
    name = ALSO.get(word.lower(), word.lower())
    if name not in ALGORITHMS:
        known = [*ALGORITHMS, *ALSO]
        raise Refusal(
            f"nothing to prove about '{word}'",
            where=f"{word} (command line)",
            nearest=nearest(word, known) or [*ALGORITHMS],
            do="expctl verify proves all of them",
        )
    return name


def _versions() -> dict[str, str | None]:
    found = versions()
    return {name: found[name] for name in ("python", *DECISIVE)}


def _print_closing(verdicts: list[dict[str, Any]], broken: str, seconds: float) -> None:
    installed = ", ".join(f"{name} {number}" for name, number in _versions().items())
    passed = sum(verdict["passed"] for verdict in verdicts)
    print(f"\n{passed} of {len(verdicts)} proven on {installed} in {seconds:.0f} s")
    for line in [*failures(verdicts), *([broken] if broken else [])]:
        print(f"not proven: {line}", file=sys.stderr)


def _last_lines(log: TextIO, count: int = 12) -> str:
    log.seek(0)
    return "".join(log.readlines()[-count:]).rstrip()
