"""Whether there are enough rows for one step. A trainer that finds too few ends at step 0, and calls that success."""

from dataclasses import dataclass


class NoStepError(ValueError):
    """A training that would take no step, or took none.

    Args:
        what: what is wrong, with the numbers.
        do: what to do about it.
    """

    def __init__(self, what: str, do: str = "") -> None:
        super().__init__(f"{what}; {do}" if do else what)
        self.what = what
        self.do = do


@dataclass(frozen=True)
class Batches:
    """How a trainer batches its rows.

    Args:
        rows: per device and step.
        processes: of the training.
        group: completions per prompt; None where no completions are sampled.
        sampled: completions sampled at a time, by all processes; None where none are.
        drop_last: an incomplete batch is not used.
    """

    rows: int
    processes: int = 1
    group: int | None = None
    sampled: int | None = None
    drop_last: bool = False

    @property
    def needed(self) -> int:
        """Rows of the dataset (prompts, where completions are sampled) that the first step needs."""
        if self.group and self.sampled:
            return max(1, self.sampled // self.group)
        return self.rows * self.processes if self.drop_last else 1


def check_some_step(count: int, batches: Batches) -> None:
    """Refuse a dataset of `count` rows from which no batch can be filled.

    Raises:
        NoStepError: with the numbers, and a batch size that `count` rows fill.
    """
    if count >= batches.needed:
        return
    if count == 0:
        raise NoStepError("no row is left to train on", "more rows; or a larger args.max_length, if prompts are long")
    if batches.group and batches.sampled:
        what = (
            f"a step needs {batches.needed} prompts ({batches.sampled} completions in groups of {batches.group}) and "
            f"there {_are(count)} to train on: no step would be taken"
        )
        raise NoStepError(what, _smaller_batch(count, batches, batches.group, batches.sampled))
    what = f"a batch is {batches.needed} rows and there {_are(count)} to train on: no step would be taken"
    fits = count // batches.processes
    raise NoStepError(what, f"args.per_device_train_batch_size={fits}, or more rows" if fits else "more rows")


def _smaller_batch(count: int, batches: Batches, group: int, sampled: int) -> str:
    """The largest number of rows per device that `count` prompts fill, where there is one."""
    steps = max(1, sampled // (batches.rows * batches.processes))
    completions_per_row = batches.processes * steps
    whole_groups = [rows for rows in range(1, batches.rows) if rows * completions_per_row % group == 0]
    fits = [rows for rows in whole_groups if rows * completions_per_row // group <= count]
    return f"args.per_device_train_batch_size={fits[-1]}, or more rows" if fits else "more rows, or smaller groups"


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
