"""The preflight itself: everything of a training but its weights, built and taken through the first batch."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from expctl.worker.preflight.wrong import Wrong, WrongError, cause_of, field_of, said

# What a launcher tells a rank; the preflight is one process by itself.
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "EXPCTL_WORLD_SIZE")
LAUNCHERS = ("MASTER_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_", "GROUP_", "ROLE_")


def preflight(config: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a resolved config, as JSON can carry it. It changes this process: call it in one of its own.

    Returns:
        `wrong`: dicts of `what`, `key` and `do`; `traceback`: of the first; `checked`: names of what was looked at.
    """
    be_alone()
    check = Preflight(config)
    check.run()
    return {
        "wrong": [asdict(wrong) for wrong in check.wrong],
        "traceback": check.traceback,
        "checked": check.checked,
    }


def be_alone() -> None:
    """Forget the launcher, and every GPU: what is looked at here needs neither."""
    for name in list(os.environ):
        if name in RANKS or name.startswith(LAUNCHERS):
            del os.environ[name]
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


class Preflight:
    """The phases, in their order; those that need what an earlier one failed to make are left out."""

    def __init__(self, config: dict[str, Any]):
        self.config = config
        self.wrong: list[Wrong] = []
        self.traceback: str | None = None
        self.checked: list[str] = []
        self.columns: list[str] = []

    def run(self) -> None:
        from expctl.worker.preflight import rehearsal

        with tempfile.TemporaryDirectory(prefix="expctl-preflight-") as folder:
            rehearsal.phases(self, folder)

    @contextmanager
    def phase(self, name: str, where: Callable[[BaseException], Wrong]) -> Iterator[None]:
        """A phase whose errors become a `Wrong` by `where`; what is wrong ends the phase and not the preflight."""
        try:
            yield
        except WrongError as error:
            self._note(error.wrong, error)
        except Exception as error:
            self._note(where(cause_of(error)), error)
        except SystemExit as error:
            self._note(Wrong(f"{name} left the process (exit {error.code})"), error)
        else:
            self.checked.append(name)

    def _note(self, wrong: Wrong, error: BaseException) -> None:
        self.wrong.append(wrong)
        if self.traceback is None:
            self.traceback = "".join(traceback.format_exception(error))

    def of_args(self, error: BaseException, otherwise: str = "args") -> Wrong:
        """A `Wrong` of an error whose message may name a field of the trainer's arguments."""
        message = said(error)
        field = field_of(message, self.config["args"], self.argument_names())
        return Wrong(message, f"args.{field}" if field else otherwise)

    def argument_names(self) -> list[str]:
        target = self.config["args"]["_target_"]
        module, _, name = target.rpartition(".")
        arguments = getattr(sys.modules.get(module), name, None)
        return [field.name for field in fields(arguments)] if is_dataclass(arguments) else list(self.config["args"])
