"""An Optuna study on disk, which outlives the command: `outputs/sweeps/<sweep_id>.journal`."""

import contextlib
import json
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expctl.base.notice import notice
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.runs.manifest import now

if TYPE_CHECKING:
    from optuna import Study

MISSING = Refusal("a search needs Optuna, which is not installed", do='pip install "expctl[sweep]"')

# Samplers of one sequence, in which the study keeps count: with another seed each command would have another sequence.
OF_ONE_SEQUENCE = ("GridSampler", "QMCSampler")


class JournalError(OSError):
    """Optuna's journal cannot be written; what it said before it still says."""


def require_optuna() -> None:
    """Import Optuna and keep it quiet: what there is to say about a trial, expctl says.

    Raises:
        Refusal: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MISSING from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def open_study(
    file: Path | None, direction: str, sampler: Mapping[str, Any], pruner: Mapping[str, Any] | None = None
) -> "Study":
    """The study of that file, begun or carried on; without a file one that is gone with the command.

    A file is a journal, to which each trial is appended under a lock that also holds on network file systems: several
    machines can search together, and a killed command loses no trial that had ended.

    Raises:
        Refusal: the sampler or the pruner is none.
        OSError: the file cannot be written; later, from whatever the study is told, a `JournalError`.
    """
    from optuna import create_study
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileSymlinkLock
    from optuna.study import StudyDirection

    better = StudyDirection[direction.upper()]
    if file is None:
        return create_study(storage=InMemoryStorage(), direction=better, sampler=_sampler(sampler, 0))
    _sampler(sampler, 0)  # before anything is created
    stops = _made("pruner", pruner or {"name": "NopPruner"})
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileSymlinkLock(str(file))
    storage = _backend(file, lock)
    _mend(file, lock)
    study = create_study(
        storage=JournalStorage(storage), study_name=file.stem, direction=better, load_if_exists=True, pruner=stops
    )
    study.sampler = _sampler(sampler, _earlier(study))
    return study


def _earlier(study: "Study") -> int:
    """How often the study was opened before. Its journal counts, so that of two commands at once one is the earlier."""
    name = f"opened {uuid.uuid4().hex}"
    study.set_user_attr(name, now())
    return [key for key in study.user_attrs if key.startswith("opened ")].index(name)


def _backend(file: Path, lock: Any) -> Any:
    """Optuna's file backend, which on a full disk leaves no half of a line: other commands would append to that."""
    from optuna.storages.journal import JournalFileBackend

    class Backend(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            try:
                super().append_logs(logs)
            except OSError as error:
                with contextlib.suppress(OSError):
                    _cut(file, lock)
                raise JournalError(error.errno, error.strerror, str(file)) from error

    return Backend(str(file), lock)


def _sampler(options: Mapping[str, Any], earlier: int) -> Any:
    """The sampler of the config. From the same seed every command that takes part would propose the same trials."""
    if options.get("seed") is not None and options.get("name") not in OF_ONE_SEQUENCE:
        options = {**options, "seed": options["seed"] + earlier}
    return _made("sampler", options)


def _made(kind: str, options: Mapping[str, Any]) -> Any:
    """Optuna's sampler or pruner of that name, with the arguments beside it."""
    import optuna

    module = getattr(optuna, f"{kind}s")
    arguments = dict(options)
    name = arguments.pop("name")
    suffix = kind.title()
    known = [public for public in module.__all__ if public.endswith(suffix) and public != f"Base{suffix}"]
    if name not in known:
        raise Refusal(f"no {kind} '{name}'", where=f"hydra.sweeper.{kind}.name", nearest=nearest(str(name), known))
    try:
        return getattr(module, name)(**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise Refusal(f"{name} cannot be made: {error}", where=f"hydra.sweeper.{kind}") from error


def _mend(file: Path, lock: Any) -> None:
    """Cut a journal off where it was damaged: Optuna would read nothing of it, and lose what it appends."""
    if _cut(file, lock):
        notice(f"{file} was damaged and is cut off there: trials after that are not remembered, their runs are")


def _cut(file: Path, lock: Any) -> bool:
    """Cut a journal off at the first line that is none; whether there was one."""
    if _whole(file) == file.stat().st_size:
        return False
    lock.acquire()  # it may be another search in the middle of a line
    try:
        whole = _whole(file)
        damaged = whole < file.stat().st_size
        if damaged:
            with file.open("rb+") as opened:
                opened.truncate(whole)
        return damaged
    finally:
        lock.release()


def _whole(file: Path) -> int:
    """Bytes before the first line that is no JSON object."""
    whole = 0
    for line in file.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n") or not _is_json(line):
            break
        whole += len(line)
    return whole


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
