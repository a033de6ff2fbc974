"""Reward models: that each is there and gives one score, and that a chosen one is read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.devices import detection
from expctl.models.files import config_of
from expctl.models.reward_head import KEY, check_head

LOADER = "expctl.models.reward_model.load"
DTYPES = ("auto", "float32", "bfloat16", "float16")


def check_reward_model(experiment: Experiment) -> list[Refusal]:
    """Refuse a reward model that is not there or gives no single score, and one that nothing asks."""
    nodes = list(_nodes(experiment.config))
    typed = [key for key in experiment.sources if key == KEY or key.startswith(f"{KEY}.")]
    if typed and not nodes:
        return [
            Refusal(
                f"'{typed[0]}' would do nothing: no reward asks a reward model",
                where=experiment.set_by(typed[0]),
                do="reward=model as well, or leave it out",
            )
        ]
    return [refusal for node in nodes for refusal in _check(experiment, node)]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """The mappings of a config that load a reward model, at any depth."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    if node.get("_target_") == LOADER:
        yield node
        return
    for inner in node.values():
        yield from _nodes(inner)


def _check(experiment: Experiment, node: dict[str, Any]) -> list[Refusal]:
    path = str(node["path"])
    try:
        location = models.resolve(path, revision=node.get("revision") or "main")
        if location.kind != "hub":
            check_head(path, config_of(Path(location.source)))
    except (FileNotFoundError, ValueError) as error:
        message = re.sub(r"\bmodel(\.path)?=", rf"{KEY}\1=", str(error))
        return [Refusal(message, where=experiment.set_by(f"{KEY}.path"))]
    return _check_dtype(experiment, node) or _check_device(experiment, node) or _check_batch(experiment, node)


def _check_dtype(experiment: Experiment, node: dict[str, Any]) -> list[Refusal]:
    dtype = node.get("dtype", "float32")
    if dtype in DTYPES:
        return []
    what = f"the dtype '{dtype}' is unknown; it can be {', '.join(DTYPES)}"
    return [Refusal(what, where=experiment.set_by(f"{KEY}.dtype"), nearest=nearest(str(dtype), DTYPES))]


def _check_device(experiment: Experiment, node: dict[str, Any]) -> list[Refusal]:
    device = node.get("device")
    named = re.fullmatch(r"cpu|cuda(?::(\d+))?", str(device))
    where = experiment.set_by(f"{KEY}.device")
    if device is None or experiment.runs_remotely:
        return []
    if named is None:
        return [Refusal(f"no device '{device}'", where=where, do="cpu, cuda:N, or null for that of the training")]
    count = detection.visible_gpus()
    if device == "cpu" or int(named[1] or 0) < count:
        return []
    gpus = {0: "no GPU", 1: "one GPU, cuda:0"}.get(count, f"GPUs 0 to {count - 1}")
    return [Refusal(f"there is no device '{device}': this machine shows {gpus}", where=where, do="cpu, or null")]


def _check_batch(experiment: Experiment, node: dict[str, Any]) -> list[Refusal]:
    rows = node.get("batch_size", 1)
    if isinstance(rows, int) and rows > 0:
        return []
    what = f"'{KEY}.batch_size' is {rows!r}; it must be a whole number above 0"
    return [Refusal(what, where=experiment.set_by(f"{KEY}.batch_size"))]
