"""The checks of a user's own algorithm: a module beside the one of its trainer, `clipped_checks.py` by `clipped.py`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from expctl.config.source.lookup import Definition
from expctl.runs.sources import digests, user_sources
from expctl.runs.verified import last_verdict

SUFFIX = "_checks"


@dataclass(frozen=True)
class OwnChecks:
    """Where the checks of an algorithm are, or are to be.

    Args:
        algorithm: its option.
        trainer: the dotted path of its class.
        file: the file of the checks, whether it is there or not.
        folder: the working folder, in which modules are looked for.
    """

    algorithm: str
    trainer: str
    file: Path
    folder: Path

    @property
    def module(self) -> str:
        """The dotted name of the module."""
        return self.trainer.rpartition(".")[0] + SUFFIX

    @property
    def code(self) -> str:
        """A digest of trainer and checks, with what they import of the user's own."""
        sources = user_sources([self.trainer, f"{self.module}.checks"], [self.folder])
        return hashlib.sha256(str(sorted(digests(sources).items())).encode()).hexdigest()

    def unchecked(self) -> list[str]:
        """Why the algorithm does not count as checked here; empty where it does."""
        if not self.file.is_file():
            return [f"it has no checks: {self.file.name} beside {self.file.name.replace(SUFFIX, '')}"]
        failed = last_verdict(self.algorithm, self.code)
        if failed is None:
            return [f"expctl verify {self.algorithm} has not run on this code and these versions"]
        return [f"expctl verify {self.algorithm} failed: {', '.join(failed)}"] if failed else []


def own_checks(algorithm: str, trainer: str, definition: Definition | None) -> OwnChecks | None:
    """The checks of a trainer that was found in the user's own code; None where it is none of these."""
    if definition is None or not trainer.startswith(f"{definition.module.name}."):
        return None
    file = definition.file
    return OwnChecks(algorithm, trainer, file.with_name(f"{file.stem}{SUFFIX}.py"), Path.cwd())
