"""Whether there are enough rows for one step. A trainer that finds too few ends at step 0, and calls that success."""

from dataclasses import dataclass


class NoStepError(ValueError):
    """A training that would take no step, or took none. `what` is wrong, and what to `do`."""

    def __init__(self, what: str, do: str = ""):
        super().__init__(f"{what}; {do}" if do else what)
        self.what = what
        self.do = do


@dataclass(frozen=True)
class Batches:
    """How a trainer takes its rows.

    `rows`: a device and step; `processes` in all. Where completions are sampled, `group`: how many a prompt, and
    `sampled`: how many at a time, by all processes. `drop_last`: a batch that is not full is not taken.
    """

    rows: int
    processes: int = 1
    group: int | None = None
    sampled: int | None = None
    drop_last: bool = False

    @property
    def needed(self) -> int:
        """Rows of the dataset (where completions are sampled: prompts) without which there is no step."""
        if self.group and self.sampled:
            return max(1, self.sampled // self.group)
        return self.rows * self.processes if self.drop_last else 1


def check_some_step(there: int, batches: Batches) -> None:
    """Refuse a dataset of `there` rows from which no batch can be filled.

    Raises:
        NoStepError: with the numbers, and the batch that so many rows fill.
    """
    if there >= batches.needed:
        return
    if there == 0:
        raise NoStepError("no row is left to train on", "more rows; or a larger args.max_length, if prompts are long")
    if batches.group and batches.sampled:
        what = (
            f"a step needs {batches.needed} prompts ({batches.sampled} completions in groups of {batches.group}) and "
            f"there {_are(there)} to train on: no step would be taken"
        )
        raise NoStepError(what, _smaller(there, batches))
    what = f"a batch is {batches.needed} rows and there {_are(there)} to train on: no step would be taken"
    fits = there // batches.processes
    raise NoStepError(what, f"args.per_device_train_batch_size={fits}, or more rows" if fits else "more rows")


def _smaller(there: int, batches: Batches) -> str:
    """The largest number of rows a device that so few prompts fill, where there is one."""
    steps = max(1, batches.sampled // (batches.rows * batches.processes))
    a_row = batches.processes * steps
    fits = [rows for rows in range(1, batches.rows) if rows * a_row % batches.group == 0]
    fits = [rows for rows in fits if rows * a_row // batches.group <= there]
    return f"args.per_device_train_batch_size={fits[-1]}, or more rows" if fits else "more rows, or smaller groups"


def _are(there: int) -> str:
    return "is 1" if there == 1 else f"are {there}"
