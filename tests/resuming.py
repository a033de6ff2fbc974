"""Train in this process as a worker does, from the start or from a checkpoint, and compare what came of it."""

import copy
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from datasets import IterableDataset

from expctl.cli.hydra_app import compose
from expctl.data import arithmetic
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.worker import build
from expctl.worker.distributed import evaluate_before_training

# The smallest training that saves after every step.
SMALL = [
    "args.save_steps=1",
    "args.save_total_limit=null",
    "args.do_eval=false",
    "dataset.train_size=64",
    "dataset.eval_size=8",
    "args.per_device_train_batch_size=8",
    "args.per_device_eval_batch_size=8",
]
SHORT_AND_HOT = [
    "args.num_generations=4",
    "args.max_completion_length=12",
    "args.warmup_steps=0",
    "args.temperature=4.0",
]
# Short completions, hot, whose rewards differ: every group has a gradient to the end.
SAMPLING = [
    *SHORT_AND_HOT,
    "reward.functions={remainder:{_target_:resuming.remainder,_partial_:true}}",
]
# Every part that may remember has a memory.
REMEMBERING = [
    *SHORT_AND_HOT,
    "reward.functions={novelty:{_target_:resuming.Novelty},later:{_target_:resuming.AsyncNovelty},"
    "given:{_target_:resuming.given,_partial_:true,novelty:{_target_:resuming.Novelty}}}",
    "algorithm.trainer.token_advantages._target_=resuming.FadingCredit",
    "~algorithm.trainer.token_advantages.gamma",
]


def remainder(completions: list[str], **_) -> list[float]:
    """A reward that differs from completion to completion, and that nobody can learn."""
    return [float(sum(map(ord, text)) % 7) for text in completions]


def stream(**options) -> tuple[IterableDataset, IterableDataset]:
    """The embedded data, of no known length."""
    train, held_out = arithmetic.load(**options)
    return train.to_iterable_dataset(), held_out.to_iterable_dataset()


class Novelty:
    """A reward that has a memory: what a completion is worth depends on all that came before it."""

    def __init__(self):
        self.seen = {}

    def __call__(self, completions: list[str], **_) -> list[float]:
        return [self.count(text) for text in completions]

    def count(self, text: str) -> float:
        key = text[:1]
        self.seen[key] = self.seen.get(key, 0) + 1
        return float(self.seen[key] % 5) + sum(self.seen.values()) % 3

    def state_dict(self) -> dict:
        return {"seen": dict(self.seen)}

    def load_state_dict(self, state: dict) -> None:
        self.seen = dict(state["seen"])


class AsyncNovelty(Novelty):
    async def __call__(self, completions: list[str], **_) -> list[float]:
        return [self.count(text) for text in completions]


def given(completions: list[str], novelty: Novelty, **_) -> list[float]:
    """A function whose memory is given to it."""
    return novelty(completions)


class FadingCredit:
    """Advantages of tokens that fade from call to call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, mask, advantages, **_) -> torch.Tensor:
        self.calls += 1
        return mask.float() * advantages.unsqueeze(1) / self.calls

    def state_dict(self) -> dict:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict) -> None:
        self.calls = state["calls"]


@dataclass
class Trained:
    """What a training leaves: the logged rows without times, the weights, the evaluation after it."""

    first: dict[str, torch.Tensor]
    rows: list[dict]
    weights: dict[str, torch.Tensor]
    after: dict
    steps: int

    def assert_equals(self, other: "Trained") -> None:
        assert self.steps == other.steps
        for mine, its in zip(self.rows, other.rows, strict=False):
            assert mine == its
        assert len(self.rows) == len(other.rows)
        assert self.weights.keys() == other.weights.keys()
        assert all(torch.equal(value, other.weights[name]) for name, value in self.weights.items())
        assert self.after == other.after


def whole(folder: Path, *words: str) -> Trained:
    """Train from the start to the end; on the CPU, unless the words say otherwise."""
    run = Run(folder)
    folder.mkdir(exist_ok=True)
    manifest.create(run)
    return _train(composed("hardware=cpu", *_small(words), *words), run, None)


def resumed(folder: Path, step: int, *words: str, copied: bool = False) -> Trained:
    """Train on, in a copy, from the checkpoint that `whole` with the same words left at `step`."""
    place = folder if copied else shutil.copytree(folder, folder.parent / f"{folder.name}_{step}")
    config = composed("hardware=cpu", *_small(words), *words)
    return _train(config, Run(place), place / "checkpoints" / f"checkpoint-{step}")


def _small(words: tuple[str, ...]) -> list[str]:
    """`SMALL`, as far as the data have these keys: files have the rows that are in them."""
    return [word for word in SMALL if "dataset=files" not in words or "train_size" not in word]


def composed(*words: str) -> dict:
    """The config of these words: each caller's own, composed once, which takes a third of a second."""
    return copy.deepcopy(_composed(words))


@functools.cache
def _composed(words: tuple[str, ...]) -> dict:
    return compose(list(words)).config


def _train(config: dict, run: Run, checkpoint: Path | None) -> Trained:
    told = SimpleNamespace(requested=False, agreed=False)
    trainer = build.build_trainer(config, run, [], told)
    first = _weights(trainer)
    if config["args"]["do_eval"] and checkpoint is None:
        evaluate_before_training(trainer)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    rows = [_timeless(row) for row in trainer.state.log_history if "train_runtime" not in row]
    steps = trainer.state.global_step
    after = _timeless(trainer.evaluate()) if config["args"]["do_eval"] else {}
    return Trained(first, rows, _weights(trainer), after, steps)


def _weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def _timeless(row: dict) -> dict:
    times = ("step_time", "_runtime", "_per_second", "preparation_time")
    return {key: value for key, value in row.items() if not key.endswith(times)}
