"""Folders of runs as expctl leaves them, with numbers of one's choice; nothing is trained."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

CONFIG = {
    "hardware": {"use_cpu": True, "num_processes": 1, "bf16": False, "threads": 1},
    "args": {
        "_target_": "trl.GRPOConfig", "seed": 0, "bf16": False, "learning_rate": 1e-3, "max_steps": 4,
        "output_dir": None, "report_to": "none", "temperature": 1.0, "beta": 0.0, "save_steps": 50,
    },
    "algorithm": {
        "kind": "prompt-only", "objective": "eval_reward", "direction": "maximize",
        "trainer": {"_target_": "trl.GRPOTrainer"},
    },
    "model": {"path": "embedded:tiny"},
    "dataset": {"_target_": "expctl.data.arithmetic.load", "seed": 0, "eval_size": 512},
    "reward": {"functions": {"accuracy": {"_target_": "expctl.rewards.arithmetic.accuracy"}}, "weights": None},
    "peft": None, "tracker": {"report_to": "none"}, "callbacks": {}, "seed": 0, "name": None, "force": False,
}  # fmt: skip
CHOICES = {"algorithm": "grpo", "model": "tiny", "dataset": "arithmetic", "reward": "default", "hardware": "auto"}
VERSIONS = {"python": "3.11.7", "expctl": "0.1.0", "trl": "1.16.0", "transformers": "5.23.0", "torch": "2.13.0"}
DATA = {
    "train": {"rows": 2048, "columns": ["prompt"], "fingerprint": "aaaa", "of": "all rows"},
    "eval": {"rows": 512, "columns": ["prompt"], "fingerprint": "bbbb", "of": "all rows"},
}
DEVICES = {"cpu": "Processor", "cores": 2, "memory": 1, "gpus": []}
GFPO = {"algorithm.trainer._target_": "expctl.algorithms.gfpo.GFPOTrainer", "args.num_remains_in_group": 6}


def run(
    outputs: Path,
    seed: int | None = 0,
    after: dict[str, float | None] | float | None = 0.5,
    *,
    config: dict[str, Any] | None = None,
    choices: dict[str, str] | None = None,
    typed: tuple[str, ...] = (),
    name: str | None = None,
    train: dict[str, float] | None = None,
    rows: list[dict] | None = None,
    summary: dict[str, Any] | None = None,
    **told: Any,
) -> Path:
    """One completed run; `after` is its evaluation, a number alone its reward. `config` sets dotted keys.

    `told` goes into run.json as it is (`status="failed"`, `versions={...}`).
    """
    whole = copy.deepcopy(CONFIG)
    place = len(list(outputs.glob("*/run.json"))) if outputs.is_dir() else 0
    folder = outputs / (name or f"run-s{seed}-{place:08x}")
    for key, value in {"seed": seed, "args.seed": seed, "args.output_dir": str(folder), **(config or {})}.items():
        *path, last = key.split(".")
        node = whole
        for part in path:
            node = node.setdefault(part, {}) if node.get(part) is not None else node.update({part: {}}) or node[part]
        node[last] = value
    folder.mkdir(parents=True)
    words = [*typed, *([f"seed={seed}"] if seed is not None else [])]
    (folder / "config.yaml").write_text(yaml.safe_dump(whole))
    (folder / "overrides.yaml").write_text(yaml.safe_dump(words))
    manifest = {
        "run_id": folder.name, "status": "completed", "overrides": words, "command": " ".join(["expctl", *words]),
        "choices": CHOICES | (choices or {}), "sources": {}, "inputs": {}, "versions": VERSIONS, "devices": DEVICES,
        "data": DATA, "started": f"2026-01-01T00:00:{place:02d}+00:00", "ended": f"2026-01-01T01:00:{place:02d}+00:00",
        "attempts": [], "error": None,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(manifest | told))
    if rows is not None:
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if (manifest | told)["status"] == "completed":
        measured = {"eval_reward": after} if isinstance(after, float | int) else after
        algorithm = whole["algorithm"]
        found = {
            "objective": None, "objective_name": algorithm["objective"], "direction": algorithm["direction"],
            "steps": whole["args"]["max_steps"], "before": {}, "after": measured or {}, "train": train or {},
            "seconds": {"training": 10.0 + place, "total": 20.0},
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(found | (summary or {})))
    return folder


def two_algorithms(outputs: Path, grpo: list[float], gfpo: list[float], **told: Any) -> list[Path]:
    """A run for each number, the seeds being 0, 1, 2, ... in both."""
    first = [run(outputs, seed, value, typed=("algorithm=grpo",), **told) for seed, value in enumerate(grpo)]
    second = [
        run(outputs, seed, value, typed=("algorithm=gfpo",), config=GFPO, choices={"algorithm": "gfpo"}, **told)
        for seed, value in enumerate(gfpo)
    ]
    return [*first, *second]


def sweep(outputs: Path, name: str, folders: list[Path]) -> Path:
    """The ledger of a sweep whose cells are some runs."""
    ledger = outputs / "sweeps" / f"{name}.json"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"words": [], "run_id": folder.name, "status": "completed", "asked_for": True} for folder in folders]
    ledger.write_text(json.dumps({"sweep_id": name, "command": "expctl -m", "cells": cells}))
    return ledger
