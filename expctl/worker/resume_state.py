"""What transformers and TRL keep in memory only, saved with every checkpoint: one small file a rank.

The stock checkpoint has weights, optimizer, scheduler, random states and step. It lacks what is still to be logged (the
loss and the metrics since the last log), TRL's count of tokens, and where the order of the data stands: a sampler with
a random generator of its own starts over on resume, and so draws the first epoch's order in every epoch.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_utils import IntervalStrategy

# Of `transformers.Trainer`, set when training begins.
LOSS, LAST_LOGGED = "_tr_loss", "_globalstep_last_logged"
# Of every trainer of TRL.
METRICS, TOKENS = "_metrics", "_total_train_tokens"


class DataOrder:
    """The random states that the order of the data follows from, as they stood when the epoch began.

    The order is drawn when an epoch begins, from the sampler's generator or from torch's; a run resumed in the middle
    draws it again from the same states, and passes over the batches that it has had.
    """

    def __init__(self) -> None:
        self._random: torch.Tensor | None = None
        self._sampler: torch.Tensor | None = None

    def epoch_begins(self, dataloader: DataLoader) -> None:
        self._random, self._sampler = torch.get_rng_state(), generator_state(dataloader)

    def state(self, dataloader: DataLoader) -> dict[str, Any]:
        return {"random": self._random, "sampler": self._sampler, "sampler_now": generator_state(dataloader)}

    def restore(self, state: dict[str, Any], dataloader: DataLoader, *, in_the_middle: bool) -> None:
        """Before training goes on, `in_the_middle` of an epoch or where one ends."""
        self._random, self._sampler = state["random"], state["sampler"]
        drawn_from = state["sampler"] if in_the_middle else state["sampler_now"]
        # One that the sampler makes when it is first gone through is seeded by the epoch.
        if (generator := generator_of(dataloader)) is not None and drawn_from is not None:
            generator.set_state(drawn_from)

    def draw_again(self, dataloader: DataLoader, epoch: int) -> None:
        """Right before the data are gone through from the middle of an epoch."""
        sampler = innermost(dataloader)
        if hasattr(sampler, "set_epoch"):
            # On several ranks accelerate does not reach through the sampler that skips to the one that draws.
            sampler.set_epoch(epoch)
        torch.set_rng_state(self._random)


def counted(trainer: Trainer, grad_norm: Any, learning_rate: float | None) -> dict[str, Any]:
    """The counters of this rank. `grad_norm` and `learning_rate` are the last step's, for a log at the epoch's end."""
    state = {LOSS: needed(trainer, LOSS).detach().clone(), LAST_LOGGED: needed(trainer, LAST_LOGGED)}
    if is_trl(trainer):
        metrics = needed(trainer, METRICS)["train"]
        state[METRICS] = {name: [float(value) for value in values] for name, values in metrics.items()}
        state[TOKENS] = needed(trainer, TOKENS)
    if trainer.args.logging_strategy == IntervalStrategy.EPOCH:
        state["last_step"] = [float(each) if each is not None else None for each in (grad_norm, learning_rate)]
    return state


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Put the counters back, once the trainer has reset them."""
    needed(trainer, LOSS).copy_(state[LOSS])
    needed(trainer, LAST_LOGGED)
    setattr(trainer, LAST_LOGGED, state[LAST_LOGGED])
    if is_trl(trainer):
        metrics = needed(trainer, METRICS)["train"]
        metrics.clear()
        metrics.update(state[METRICS])
        needed(trainer, TOKENS)
        setattr(trainer, TOKENS, state[TOKENS])


def restore_callbacks(trainer: Trainer) -> None:
    """Give callbacks that export a state, such as early stopping, the one of the checkpoint, in their places.

    transformers does this on request only, and then with new callbacks at the end of the list.
    """
    saved = trainer.state.stateful_callbacks
    for name in saved:
        namesakes = [each for each in trainer.callback_handler.callbacks if type(each).__name__ == name]
        states = saved[name] if isinstance(saved[name], list) else [saved[name]]
        # Of several callbacks of one class transformers appends the states at every save.
        for callback, state in zip(namesakes, states[-len(namesakes) :], strict=False):
            for attribute, value in state.get("attributes", {}).items():
                setattr(callback, attribute, value)


def generator_of(dataloader: DataLoader) -> torch.Generator | None:
    return getattr(innermost(dataloader), "generator", None)


def generator_state(dataloader: DataLoader) -> torch.Tensor | None:
    generator = generator_of(dataloader)
    return None if generator is None else generator.get_state()


def innermost(dataloader: DataLoader) -> Any:
    """The sampler that draws the order, below those that batch, share out and skip."""
    found: Any = dataloader
    while (inner := _inside(found)) is not None:
        found = inner
    return found


def _inside(sampler: Any) -> Any:
    """What a dataloader or sampler draws from. Asked for None: a sampler of a stream is false, or has no length."""
    batches = getattr(sampler, "batch_sampler", None)
    return batches if batches is not None else getattr(sampler, "sampler", None)


def is_trl(trainer: Trainer) -> bool:
    return any(each.__module__.startswith("trl.") for each in type(trainer).__mro__)


def needed(trainer: Trainer, name: str) -> Any:
    """An attribute that exact resumption counts on.

    Raises:
        RuntimeError: this version of the libraries has none of that name.
    """
    try:
        return getattr(trainer, name)
    except AttributeError:
        raise RuntimeError(
            f"{type(trainer).__name__} has no '{name}' in transformers {transformers.__version__} and "
            f"trl {trl.__version__}, so a checkpoint could not be carried on from exactly. Install the versions of "
            "requirements-tested.txt."
        ) from None


def path_of(checkpoint: Path, rank: int) -> Path:
    return checkpoint / f"counters_{rank}.pt"
