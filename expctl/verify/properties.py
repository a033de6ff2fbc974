"""Ready-made checks for a method of one's own, each made of functions that build its trainer.

A module of checks lies beside the module of the trainer, `clipped_checks.py` beside `clipped.py`, and `expctl verify`
runs whatever `Check` it holds at its top: these, and functions below `@check` (see `check.py`). `setup.py` builds
trainers on the embedded model and data (`grpo`, `build`), samples from them and compares.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from expctl.verify.check import Check, CheckFailed
from expctl.verify.setup import difference, interrupted, policy, substantial, trained, vector

# Builds the trainer; takes fields of its arguments as keywords.
Make = Callable[..., Trainer]
# What a rank trains: plain steps, so that what differs by rounding stays small.
OF_RANKS: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 2}
RANKS = 2
# Seconds after which two ranks wait for each other in vain.
PATIENCE = 300


def equals(ours: Callable[[], Trainer], theirs: Callable[[], Trainer], name: str = "neutral is the parent") -> Check:
    """Two trainings end with the same weights and have had the same losses, to the last bit.

    Args:
        ours: builds the method with neutral settings.
        theirs: builds the trainer that it then is.
        name: of the check.
    """
    statement = "with neutral settings weights and losses are the parent's, to the last bit"
    return Check(name, statement, lambda: difference(trained(ours()), trained(theirs())))


def differs(ours: Callable[[], Trainer], theirs: Callable[[], Trainer], name: str = "the setting acts") -> Check:
    """Two trainings end with other weights or losses: what is set is read.

    Args:
        ours: builds the method with a setting.
        theirs: builds it without.
        name: of the check.
    """
    statement = "with the setting weights or losses are others"
    return Check(name, statement, lambda: difference(trained(ours()), trained(theirs())), at_least=1e-7)


def resumes(make: Make, name: str = "resumed", **settings: Any) -> Check:
    """A run that is resumed from its third step ends where the uninterrupted one does, to the last bit.

    Args:
        make: builds the trainer.
        name: of the check.
        settings: fields of the arguments; with `SAVED_IN_A_ROLLOUT` of `setup.py` the checkpoint of a trainer that
            samples lies in the middle of a rollout.
    """
    chosen = settings | {"max_steps": 5, "save_strategy": "steps", "save_steps": 1}

    def measure() -> float:
        return interrupted(lambda folder: make(output_dir=folder, **chosen), 3, lambda run: [])

    return Check(name, "a run resumed from its third step ends where the uninterrupted one does", measure)


def two_ranks(make: Make, name: str = "two ranks", at_most: float = 1e-3, **settings: Any) -> Check:
    """Two processes end with the same weights, and (where sampling can be scripted) where one process does.

    Args:
        make: builds the trainer; a function at the top of its module, which each rank imports.
        name: of the check.
        at_most: greatest difference from one process, in units of how far the training went.
        settings: fields of the arguments.
    """
    statement = "two processes end with the same weights, and where one does"
    return Check(name, statement, lambda: _distance_of_ranks(make, settings), at_most)


def _distance_of_ranks(make: Make, settings: dict[str, Any]) -> float:
    one = make(**settings | OF_RANKS)
    rows = one.args.per_device_train_batch_size
    if rows % RANKS:
        raise CheckFailed(f"{rows} rows cannot be shared by {RANKS} ranks: set per_device_train_batch_size")
    folder = Path(tempfile.mkdtemp())
    torch.save(settings | OF_RANKS | {"per_device_train_batch_size": rows // RANKS}, folder / "settings.pt")
    ranks = _trained_by_ranks(f"{make.__module__}:{make.__name__}", folder)
    if difference([ranks[0]], [ranks[1]]):
        raise CheckFailed("the two ranks end with other weights")
    if samples_freely(one):
        return 0.0  # two ranks draw other completions than one
    script(one)
    before = vector(policy(one))
    one.train()
    went = substantial(vector(policy(one)) - before, "training did not move the weights").abs().max().item()
    return difference([ranks[0]], [vector(policy(one))]) / went


def _trained_by_ranks(make: str, folder: Path) -> list[torch.Tensor]:
    """The weights after the training of each rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(RANKS)}
    common |= {"ACCELERATE_USE_CPU": "true"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "expctl.verify.rank", make, str(folder)],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"the ranks wait for each other for {PATIENCE} s") from error
    finally:
        for process in started:
            process.kill()
    if any(process.returncode for process in started):
        raise CheckFailed(*(text.strip().splitlines()[-1] for text in said if text.strip()))
    return [torch.load(folder / f"rank_{rank}.pt") for rank in range(RANKS)]


def samples_freely(trainer: Trainer) -> bool:
    """Whether completions are sampled and cannot be scripted."""
    return hasattr(trainer, "reward_funcs") and not hasattr(trainer, "rollout_func")


def script(trainer: Any) -> None:
    """Replace sampling, where the trainer can take it from outside, by completions that any rank writes the same."""
    if hasattr(trainer, "rollout_func"):
        trainer.rollout_func = scripted_rollout


def scripted_rollout(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """TRL's `rollout_func`: completions that depend on prompt, place in the group and step alone."""
    tokenizer, size = trainer.processing_class, trainer.num_generations
    first = trainer.accelerator.process_index * len(prompts)
    prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    completion_ids = []
    for row, ids in enumerate(prompt_ids, start=first):
        place, number = row % size, sum(ids) + trainer.state.global_step
        written = [(number + place * (token + 1)) % len(tokenizer) for token in range(2 + (number + place) % 5)]
        completion_ids.append([*written, tokenizer.eos_token_id])
    return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}
