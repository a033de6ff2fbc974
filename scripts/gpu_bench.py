"""What the parts of `scripts/gpu_check.py` share: a working folder, measured trainings, and how a part ends."""

import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gpu_inputs

COMMAND = str(Path(sys.executable).with_name("expctl"))
GIB = 2**30
# A part has eight minutes; a command that hangs must not take them all.
LIMIT_SECONDS = 400
Row = dict[str, Any]


class LeftOut(Exception):  # noqa: N818 - a part that cannot be asked here, not a fault
    """The part needs what is not here; the argument says what."""


class CheckFailed(Exception):  # noqa: N818 - the result of a check
    """What the part asks does not hold; the argument says how."""


@dataclass
class Bench:
    """Where the parts work, and on what.

    Args:
        work: folder of runs and models, removed at the end.
        output: folder that keeps the logs.
        cpu: rehearse on the CPU with the embedded model.
    """

    work: Path
    output: Path
    cpu: bool = False
    device: str = field(init=False)

    def __post_init__(self) -> None:
        import torch

        self.cpu = self.cpu or not torch.cuda.is_available()
        self.device = "cpu" if self.cpu else torch.cuda.get_device_name()
        shutil.copy(Path(__file__).with_name("gpu_measure.py"), self.work)

    def model(self, shape: str, prompt_tokens: int = 256) -> list[str]:
        """The words for a model of this shape on prompts of this length; the embedded model on its data on a CPU."""
        if self.cpu:
            return ["model=tiny", "hardware=cpu", "dataset.train_size=128", "dataset.eval_size=16"]
        folder = gpu_inputs.random_model(shape, self.work / f"qwen3-{shape}")
        path = gpu_inputs.prompts(prompt_tokens, 256, self.work / f"prompts-{prompt_tokens}.jsonl")
        spread = "reward.functions.spread._target_=gpu_measure.spread"
        return ["model=local", f"model.path={folder}", "hardware=gpu", "dataset=files", f"dataset.path={path}", spread]

    def expctl(self, *words: str, name: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        """`expctl` in the working folder; its output is kept in a log of this name."""
        command = [COMMAND, *words]
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        (self.output / f"{name}.log").write_text(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        if done.returncode != expected:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise CheckFailed(f"{name}: exit code {done.returncode} ({name}.log): {' '.join(lines[-3:])}")
        return done

    def train(self, name: str, *words: str) -> Row:
        """Train by these words with `gpu_measure.Measure`; the row of its figures beside what `plan` foresees."""
        measured = self.work / f"{name}.json"
        self.expctl(*words, *measured_by(measured), f"name={name}", name=name)
        return row(name, json.loads(measured.read_text())) | self.foreseen(name, *words)

    def foreseen(self, name: str, *words: str) -> Row:
        """The peaks that `expctl plan --json` foresees for these words, in GiB."""
        # 2 is "does not fit", which is an answer.
        command = [COMMAND, "plan", "--json", *words]
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=60)
        if done.returncode not in (0, 2) or not done.stdout.startswith("{"):
            raise CheckFailed(f"{name}: plan: {done.stderr.strip()}")
        plan = json.loads(done.stdout)
        return {f"plan {key} GiB": plan[f"{key}_bytes"] / GIB for key in ("training", "sampling")}


def measured_by(path: Path) -> list[str]:
    """The words of the callback that measures."""
    return [
        "callbacks.measure._target_=gpu_measure.Measure",
        "callbacks.measure._partial_=true",
        f"callbacks.measure.path={path}",
    ]


def row(name: str, measured: dict[str, Any]) -> Row:
    """Figures of the median step after the first, which warms up."""
    steps = measured["steps"][1:] or measured["steps"]
    median = {key: statistics.median(step[key] for step in steps) for key in steps[0]}
    sampling = median.get("sampling", 0.0)
    scored = median.get("sampling_and_scoring", sampling)
    return {
        "training": name,
        "s/step": median["seconds"],
        "sampling s": sampling,
        "scoring s": scored - sampling,
        "update s": median["seconds"] - scored,
        "tokens/s": median.get("tokens", 0.0) / sampling if sampling else None,
        "training GiB": measured["training_bytes"] / GIB,
        "sampling GiB": measured["sampling_bytes"] / GIB,
        "reserved GiB": measured["reserved_bytes"] / GIB or None,
    }
