"""The preflight itself: a training without its weights is built and taken through its first batch."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from expctl.worker.failure_report import cause_of
from expctl.worker.preflight.problem import Problem, ProblemError, error_text, field_of

# Environment variables of a launcher; the preflight is one process by itself.
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "EXPCTL_WORLD_SIZE")
LAUNCHERS = ("MASTER_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_", "GROUP_", "ROLE_")


def preflight(config: dict[str, Any]) -> dict[str, Any]:
    """Check a resolved config. It changes this process: call it in one of its own.

    Returns:
        The findings, as JSON can carry them. `wrong`: problems, dicts of `what`, `key` and `do`; `traceback`: of the
        first; `checked`: names of the phases that found none.
    """
    leave_process_group()
    check = Preflight(config)
    check.run()
    return {
        "wrong": [asdict(problem) for problem in check.problems],
        "traceback": check.traceback,
        "checked": check.checked,
    }


def leave_process_group() -> None:
    """Unset the launcher's variables, and hide every GPU: the preflight needs neither."""
    for name in list(os.environ):
        if name in RANKS or name.startswith(LAUNCHERS):
            del os.environ[name]
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


class Preflight:
    """Runs the phases in their order, without those that need the result of one that failed.

    Attributes:
        config: the resolved config.
        problems: found so far.
        traceback: of the first problem.
        checked: names of the phases that found none.
        columns: of the training data.
        left_out: by `dataset.filter_tokens`, of how many rows to train on: two numbers; None where nothing filters.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config
        self.problems: list[Problem] = []
        self.traceback: str | None = None
        self.checked: list[str] = []
        self.columns: list[str] = []
        self.left_out: tuple[int, int] | None = None

    def run(self) -> None:
        """Run all phases."""
        from expctl.worker.preflight import build_phases

        with tempfile.TemporaryDirectory(prefix="expctl-preflight-") as folder:
            build_phases.run_phases(self, folder)

    @contextmanager
    def phase(self, name: str, problem_of: Callable[[BaseException], Problem]) -> Iterator[None]:
        """A phase, whose error `problem_of` makes a `Problem`. An error ends the phase and not the preflight."""
        try:
            yield
        except ProblemError as error:
            self._note(error.problem, error)
        except Exception as error:
            self._note(problem_of(cause_of(error)), error)
        except SystemExit as error:
            self._note(Problem(f"{name} left the process (exit {error.code})"), error)
        else:
            self.checked.append(name)

    def _note(self, problem: Problem, error: BaseException) -> None:
        self.problems.append(problem)
        if self.traceback is None:
            self.traceback = "".join(traceback.format_exception(error))

    def argument_problem(self, error: BaseException, otherwise: str = "args") -> Problem:
        """The problem of an error whose message may name a field of the trainer's arguments; else at `otherwise`."""
        message = error_text(error)
        field = field_of(message, self.config["args"], self.argument_names())
        return Problem(message, f"args.{field}" if field else otherwise)

    def argument_names(self) -> list[str]:
        """Names of the fields of the trainer's arguments."""
        target = self.config["args"]["_target_"]
        module, _, name = target.rpartition(".")
        arguments = getattr(sys.modules.get(module), name, None)
        return [field.name for field in fields(arguments)] if is_dataclass(arguments) else list(self.config["args"])
