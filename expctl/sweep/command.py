"""A sweep as it was typed: what Hydra carries from the command to our sweepers and launchers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from hydra.types import TaskFunction

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.launch.launch import Display
from expctl.sweep.job import SweepJob


@dataclass
class SweepCommand:
    """The task function of a sweep. Launchers of expctl do not call it: they take their orders from its fields.

    Attributes:
        typed: the command, as the ledger has it.
        display: shows jobs while they run.
        print_results: prints the last words of a grid, from its jobs and its ledger.
        print_search: prints those of a search; see `expctl.report.search_closing`.
        task: from the folder of a submission to what a job of a scheduler does.
        check: only check the jobs, without the libraries or with them; None: run them.
        code: the exit code so far.
    """

    typed: str
    display: Callable[[Sequence[SweepJob]], AbstractContextManager[Display]]
    print_results: Callable[[Sequence[SweepJob], Path], None]
    print_search: Callable[..., None]
    task: Callable[[Path], TaskFunction]
    check: Literal["quick", "full"] | None = None
    code: int = EXIT_COMPLETED

    def __call__(self, config: object) -> NoReturn:
        raise TypeError("the jobs of a sweep are run by a launcher of expctl, not by calling its task function")

    @classmethod
    def of(cls, task_function: TaskFunction) -> "SweepCommand":
        """The command that Hydra handed to a plug-in."""
        assert isinstance(task_function, cls), "sweeps go through `expctl -m` and `expctl check -m`"
        return task_function

    def end(self, code: int) -> None:
        """Note how a batch ended; the first that did not complete decides the exit code."""
        self.code = self.code or code
