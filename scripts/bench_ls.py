"""The part of bench.py that measures `expctl ls`: runs as GRPO leaves them, in number."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))
RUNS = 10_000
LISTINGS = {
    "again, every line into a pipe": [],
    "again, the best twenty of a third": ["seed<3333", "--sort=-eval_reward", "--limit=20"],
    "again, as JSON": ["--json", "--columns=run,status,seed,eval_reward"],
}


def measure(environment: dict[str, str], repeat: int) -> list[tuple[str, str, str]]:
    """Rows of what was listed, the median of the seconds of a whole process, and of those on a processor."""
    with tempfile.TemporaryDirectory() as folder:
        environment = environment | {"EXPCTL_CACHE": f"{folder}/cache", "EXPCTL_OUTPUTS": f"{folder}/outputs"}
        make_runs(Path(folder), environment)
        rows = [_row("for the first time", [_seconds([], environment)])]
        for name, words in LISTINGS.items():
            rows.append(_row(name, [_seconds(words, environment) for _ in range(repeat)]))
    return rows


def _row(name: str, seconds: list[tuple[float, float]]) -> tuple[str, str, str]:
    return name, *(f"{statistics.median(each):.2f}" for each in zip(*seconds, strict=True))


def make_runs(folder: Path, environment: dict[str, str]) -> None:
    """One real run, and copies of its files that differ in seed, learning rate and every metric."""
    _done([COMMAND, "algorithm=grpo", "args.max_steps=1", "dataset.eval_size=16"], environment)
    (run,) = (folder / "outputs").glob("*/run.json")
    texts = {name: (run.parent / name).read_text() for name in ("run.json", "config.yaml", "summary.json")}
    told, summary = json.loads(texts["run.json"]), json.loads(texts["summary.json"])
    for number in range(RUNS - 1):
        name = f"grpo-tiny-arithmetic-s{number}-{number:08x}"
        copy = folder / "outputs" / name
        os.mkdir(copy)
        overrides = ["algorithm=grpo", f"args.learning_rate={number % 7}e-4"]
        parts = {
            part: {key: number / 7 + place for place, key in enumerate(summary[part])} for part in ("train", "after")
        }
        (copy / "run.json").write_text(json.dumps(told | {"run_id": name, "overrides": overrides}))
        config = texts["config.yaml"].replace("learning_rate: 0.0008", f"learning_rate: {number % 7}.0e-4")
        (copy / "config.yaml").write_text(config.replace("seed: 0", f"seed: {number}"))
        (copy / "summary.json").write_text(json.dumps(summary | parts))


def _seconds(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """By the clock, and of a processor, which a busy machine does not stretch."""
    began, used = time.perf_counter(), _used()
    _done([COMMAND, "ls", *words], environment)
    return time.perf_counter() - began, _used() - used


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _done(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
