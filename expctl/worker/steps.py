"""Refuses a run without a step: before training where the rows can be counted, else after it."""

from collections.abc import Sized
from typing import Any

from expctl.data.steps import Batches, NoStepError
from expctl.data.steps import check_some_step as check_rows


def check_some_step(args: Any, dataset: Any) -> None:
    """Refuse a training that would find no full batch.

    Args:
        args: the trainer's arguments.
        dataset: as its trainer has prepared it; one that is streamed has no length to check.

    Raises:
        NoStepError: with the numbers.
    """
    if not isinstance(dataset, Sized):
        return
    batches = Batches(
        rows=args.per_device_train_batch_size,
        processes=args.world_size,
        group=getattr(args, "num_generations", None),
        sampled=getattr(args, "generation_batch_size", None),
        drop_last=args.dataloader_drop_last,
    )
    check_rows(len(dataset), batches)


def check_steps_taken(state: Any) -> None:
    """Raise NoStepError where training has ended at step 0."""
    if state.global_step == 0:
        raise NoStepError(
            f"training ended at step 0 of {state.max_steps}: nothing was learned",
            "does the trainer's sampler or collator leave any batch of the dataset?",
        )
