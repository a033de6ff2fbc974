"""State that transformers and TRL keep in memory only, saved with every checkpoint: one small file per rank.

The stock checkpoint has weights, optimizer, scheduler, random states and step. It lacks what is still to be logged (the
loss and the metrics since the last log), TRL's count of tokens, and the order of the data: a sampler with a random
generator of its own starts over on resume, and so draws the first epoch's order in every epoch.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_utils import IntervalStrategy

# Attributes of `transformers.Trainer`, set when training begins.
LOSS, LAST_LOGGED = "_tr_loss", "_globalstep_last_logged"
# Attributes of TRL's trainers: the metrics since the last log, by their trainer, and a count of tokens that some have.
METRICS, TOKENS = "_metrics", "_total_train_tokens"
OTHER_METRICS = ("_stored_metrics", "stats")
# Sums since the last log of those that learn from a teacher, and from how many steps.
SUMS = [f"_{policy}_policy_{kind}" for policy in ("on", "off") for kind in ("loss_total", "step_equiv")]
SUMS += [f"_{tokens}_{kind}" for tokens in ("matched", "unmatched") for kind in ("sum", "step_eq")]


class DataOrder:
    """The random states from which the order of the data is drawn, as they were when the epoch began.

    The order is drawn when an epoch begins, from the sampler's generator or from torch's. A run resumed in the middle
    of an epoch draws it again from the same states, and skips the batches that it has trained on.
    """

    def __init__(self) -> None:
        self._random: torch.Tensor | None = None
        self._sampler: torch.Tensor | None = None

    def epoch_begins(self, dataloader: DataLoader[Any]) -> None:
        """Keep the random states that this epoch's order is drawn from."""
        self._random, self._sampler = torch.get_rng_state(), generator_state(dataloader)

    def state(self, dataloader: DataLoader[Any]) -> dict[str, Any]:
        """The states as a checkpoint holds them, with that of the sampler's generator now."""
        return {"random": self._random, "sampler": self._sampler, "sampler_now": generator_state(dataloader)}

    def restore(self, state: dict[str, Any], dataloader: DataLoader[Any], *, in_the_middle: bool) -> None:
        """Take a checkpoint's states before training continues, `in_the_middle` of an epoch or where one ends."""
        self._random, self._sampler = state["random"], state["sampler"]
        sampler_state = state["sampler"] if in_the_middle else state["sampler_now"]
        generator = generator_of(dataloader)
        # A generator that the sampler makes when it is first iterated is seeded by the epoch.
        if generator is not None and sampler_state is not None:
            generator.set_state(sampler_state)

    def redraw(self, dataloader: DataLoader[Any], epoch: int) -> None:
        """Draw the order of the epoch again, right before the dataloader is iterated from its middle."""
        sampler = innermost_sampler(dataloader)
        if hasattr(sampler, "set_epoch"):
            # On several ranks accelerate does not reach through the sampler that skips to the one that draws.
            sampler.set_epoch(epoch)
        assert self._random is not None  # `restore` comes first
        torch.set_rng_state(self._random)


def loop_state(trainer: Trainer, grad_norm: Any, learning_rate: float | None) -> dict[str, Any]:
    """What is still to be logged on this rank, and TRL's count of tokens.

    Args:
        trainer: in training.
        grad_norm: of the last step, for a log at the end of the epoch.
        learning_rate: likewise.
    """
    state = {
        LOSS: required_attribute(trainer, LOSS).detach().clone(),
        LAST_LOGGED: required_attribute(trainer, LAST_LOGGED),
    }
    if is_trl(trainer):
        metrics = pending_metrics(trainer)
        state[METRICS] = {name: [float(value) for value in values] for name, values in metrics.items()}
        state[TOKENS] = getattr(trainer, TOKENS, None)
        state["sums"] = {name: getattr(trainer, name) for name in SUMS if hasattr(trainer, name)}
    if trainer.args.logging_strategy == IntervalStrategy.EPOCH:
        state["last_step"] = [None if value is None else float(value) for value in (grad_norm, learning_rate)]
    return state


def restore_loop_state(trainer: Trainer, state: dict[str, Any]) -> None:
    """Restore a checkpoint's `loop_state`, once the trainer has reset its own."""
    required_attribute(trainer, LOSS).copy_(state[LOSS])
    required_attribute(trainer, LAST_LOGGED)
    setattr(trainer, LAST_LOGGED, state[LAST_LOGGED])
    if is_trl(trainer):
        metrics = pending_metrics(trainer)
        metrics.clear()
        metrics.update(state[METRICS])
        if state[TOKENS] is not None:
            required_attribute(trainer, TOKENS)
            setattr(trainer, TOKENS, state[TOKENS])
        for name, value in state.get("sums", {}).items():
            setattr(trainer, name, value)


def pending_metrics(trainer: Trainer) -> dict[str, list[Any]]:
    """What a trainer of TRL has measured in training since the last log: metric -> its values."""
    other = [name for name in OTHER_METRICS if hasattr(trainer, name) and not hasattr(trainer, METRICS)]
    metrics = required_attribute(trainer, other[0] if other else METRICS)
    by_metric: dict[str, list[Any]] = metrics if "stats" in other else metrics["train"]
    return by_metric


def restore_callbacks(trainer: Trainer) -> None:
    """Restore in place the callbacks that export a state, such as early stopping.

    transformers does this on request only, and then with new callbacks at the end of the list.
    """
    saved_states: dict[str, Any] = trainer.state.stateful_callbacks  # type: ignore[assignment] # a dict once it is read
    for name, saved in saved_states.items():
        callbacks = [callback for callback in trainer.callback_handler.callbacks if type(callback).__name__ == name]
        states = saved if isinstance(saved, list) else [saved]
        # Of several callbacks of one class transformers appends the states at every save.
        for callback, state in zip(callbacks, states[-len(callbacks) :], strict=False):
            for attribute, value in state.get("attributes", {}).items():
                setattr(callback, attribute, value)


def generator_of(dataloader: DataLoader[Any]) -> torch.Generator | None:
    """The random generator of the sampler that draws the order, where it has one."""
    return getattr(innermost_sampler(dataloader), "generator", None)


def generator_state(dataloader: DataLoader[Any]) -> torch.Tensor | None:
    """The state of `generator_of`."""
    generator = generator_of(dataloader)
    return None if generator is None else generator.get_state()


def innermost_sampler(dataloader: DataLoader[Any]) -> Any:
    """The sampler that draws the order, below those that batch, shard and skip."""
    sampler: Any = dataloader
    inner = _inner_sampler(sampler)
    while inner is not None:
        sampler, inner = inner, _inner_sampler(inner)
    return sampler


def _inner_sampler(sampler: Any) -> Any:
    """What a dataloader or sampler draws from. Compared to None, since a sampler of a stream has no length."""
    batches = getattr(sampler, "batch_sampler", None)
    return getattr(sampler, "sampler", None) if batches is None else batches


def is_trl(trainer: Trainer) -> bool:
    """Whether the trainer is one of TRL's, or derived from one."""
    return any(base.__module__.startswith("trl.") for base in type(trainer).__mro__)


def required_attribute(trainer: Trainer, name: str) -> Any:
    """An attribute of the trainer that exact resumption relies on.

    Raises:
        RuntimeError: this version of the libraries has none of that name.
    """
    try:
        return getattr(trainer, name)
    except AttributeError:
        raise RuntimeError(
            f"{type(trainer).__name__} has no '{name}' in transformers {transformers.__version__} and "
            f"trl {trl.__version__}, so a run could not be resumed exactly. Install the versions of "
            "requirements-tested.txt."
        ) from None


def path_of(checkpoint: Path, rank: int) -> Path:
    """The file of a rank's state in a checkpoint."""
    return checkpoint / f"counters_{rank}.pt"
