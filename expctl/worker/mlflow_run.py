"""MLflow: one run there for each run here, on the server that is named, else in a local store beside the runs.

Transformers' callback and TRL call MLflow in the middle of a training. Where its server does not answer, a call raises
or waits for minutes. So calls are made in the background here, and the first failure is logged.
"""

import contextlib
import functools
import logging
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from expctl.base import file_lock
from expctl.base.masking import shown
from expctl.base.paths import outputs_of
from expctl.base.plain_data import leaves, mapping
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED
from expctl.runs.records import Summary
from expctl.runs.tracker_identity import tracked

logger = logging.getLogger(__name__)
REACH_SECONDS = 20
STATUS = {COMPLETED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}
# The run and its parameters (the config alone) are decided here and not by MLflow's variables.
ENVIRONMENT = {"MLFLOW_MAX_LOG_PARAMS": "0", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
UNSET = ("MLFLOW_RUN_ID", "MLFLOW_NESTED_RUN", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
# MLflow's logger of failures in the background, a line each.
BACKGROUND = "mlflow.utils.async_logging.async_logging_queue"
SQLITE, DATABASE = "sqlite:///", "mlflow.db"
LONGEST_KEY = 250


def start(config: dict[str, Any], run: Run) -> bool:
    """Start a run in MLflow, or continue the one of an earlier attempt. Returns whether MLflow can be used."""
    local = f"{SQLITE}{outputs_of(run.folder.resolve()) / DATABASE}"
    named = _without_password(config["tracker"].get("uri") or os.environ.get("MLFLOW_TRACKING_URI") or local)
    os.environ.update(ENVIRONMENT)
    for name in UNSET:
        os.environ.pop(name, None)
    for store in dict.fromkeys((named, local)):
        try:
            with _short_timeouts():
                _start_in(store, config, run, is_local=store == local)
            return True
        except Exception as error:  # mlflow's own, requests', SQLAlchemy's: all mean that it cannot be used now
            instead = "it does not record this run" if store == local else f"recording into {local}"
            logger.warning("mlflow cannot record into %s (%s); %s", _one_line(store), _one_line(error), instead)
    return False


def _start_in(store: str, config: dict[str, Any], run: Run, is_local: bool) -> None:
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each retry
    if is_local:
        _make_local_store(Path(store.removeprefix(SQLITE)))
    mlflow.set_tracking_uri(store)
    name, ids = DATABASE if is_local else _one_line(store), _ids(run)
    earlier = earlier_run(ids.get(name))
    if earlier is None:
        earlier_id = None
        mlflow.set_experiment(config["tracker"].get("project") or "Default")
    else:
        earlier_id = earlier.info.run_id
        mlflow.set_experiment(experiment_id=earlier.info.experiment_id)
    started = mlflow.start_run(run_id=earlier_id, run_name=run.run_id, tags=_tags(config, run))
    write_json(_ids_file(run), ids | {name: started.info.run_id})
    _log_config(config, started.data.params)
    for call in ("log_metrics", "set_tags"):
        setattr(mlflow, call, _in_background(getattr(mlflow, call)))
    logging.getLogger(BACKGROUND).addFilter(_FirstFailureOnly())


def active(run: Run) -> str | None:
    """The id of the active run in MLflow, where it is that of `run`."""
    mlflow = sys.modules.get("mlflow")
    current = mlflow.active_run() if mlflow else None
    if current is None:
        return None
    run_id: str = current.info.run_id
    return run_id if run_id in _ids(run).values() else None


def _ids(run: Run) -> dict[str, str]:
    """Store -> the id of MLflow's run there."""
    return mapping(read_json(_ids_file(run)))


def _ids_file(run: Run) -> Path:
    return run.folder / "mlflow.json"


def earlier_run(run_id: str | None) -> Any:
    """MLflow's run of an earlier attempt; None where there was none, or it was deleted."""
    import mlflow

    if not run_id:
        return None
    try:
        earlier = mlflow.MlflowClient().get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return earlier if earlier.info.lifecycle_stage == "active" else None


def _tags(config: dict[str, Any], run: Run) -> dict[str, str]:
    """The tags to sort runs by, the run's folder (no file is copied), and MLflow's own, masked as they may hold the
    password in the address of a git repository."""
    from mlflow.tracking.context.registry import resolve_tags

    identity = tracked(run, config)
    tags = {key: _one_line(value) for key, value in resolve_tags().items()}
    tags |= {"group": identity.group, "job_type": identity.job_type} | identity.chosen
    tags["folder"] = str(run.folder.resolve())
    if identity.sweeps:
        tags["sweep"] = ", ".join(identity.sweeps)
    return tags


def _log_config(config: dict[str, Any], known: dict[str, str]) -> None:
    """Log the config as MLflow's parameters, but for those of an earlier attempt: none can be changed."""
    import mlflow
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

    cut = {_key(key).replace("/", "_"): str(value)[:MAX_PARAM_VAL_LENGTH] for key, value in leaves(config)}
    new = [(key, value) for key, value in cut.items() if key not in known]
    for first in range(0, len(new), MAX_PARAMS_TAGS_PER_BATCH):
        try:
            mlflow.log_params(dict(new[first : first + MAX_PARAMS_TAGS_PER_BATCH]))
        except Exception as error:
            logger.warning("mlflow does not take parameters of the config (%s); config.yaml has all", _one_line(error))


def _key(name: str) -> str:
    """A name as MLflow allows it, for a metric or a parameter."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:LONGEST_KEY]


def _in_background(call: Callable[..., Any]) -> Callable[..., None]:
    """The call without waiting for an answer and without an error: the trainer makes it at every step."""

    @functools.wraps(call)
    def call_in_background(*args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs | {"synchronous": False})
        except Exception as error:
            logging.getLogger(BACKGROUND).error("%s", error)

    return call_in_background


class _FirstFailureOnly(logging.Filter):
    """Lets the first failure through, with what it means."""

    def __init__(self) -> None:
        super().__init__()
        self._has_passed_one = False

    def filter(self, record: logging.LogRecord) -> bool:
        if self._has_passed_one:
            return False
        self._has_passed_one = True
        message = _one_line(record.getMessage())
        record.msg, record.args = "mlflow does not take everything; metrics.jsonl has it. %s", (message,)
        return True


def end(run_id: str, status: str, summary: Summary) -> None:
    """Log the summary of a completed run, wait until everything is logged, and end MLflow's run with its status."""
    import mlflow
    from mlflow.entities import Metric, RunTag

    client = mlflow.MlflowClient()
    values = {"objective": summary.objective}
    for when, logged in (("before", summary.before), ("after", summary.after)):
        values |= {_key(f"{when}/{name}"): value for name, value in logged.items()}
    numbers = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, summary.steps) for name, value in numbers.items()]
    tags = [RunTag("objective_name", summary.objective_name)] if summary.objective_name else []
    try:
        client.log_batch(run_id, metrics=metrics, tags=tags)
        client.set_terminated(run_id, STATUS[status])
    except Exception as error:
        logger.warning("mlflow does not know that the run is %s (%s)", status, _one_line(error))


@contextlib.contextmanager
def _short_timeouts() -> Iterator[None]:
    """Ask a server twice and not for minutes, since the training waits; the user's own settings take precedence."""
    defaults = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REACH_SECONDS)}
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _make_local_store(database: Path) -> None:
    """Create the local store in a temporary file, and put it in place whole.

    It takes seconds, in which other jobs of a sweep do the same, and MLflow cannot use tables that are half made.
    """
    import mlflow

    with database.with_name(f".{database.name}.lock").open("w") as lock:
        file_lock.lock(lock.fileno())
        if database.exists():
            return
        aside = database.with_name(f".{database.name}.{secrets.token_hex(4)}.tmp")
        try:
            mlflow.MlflowClient(f"{SQLITE}{aside}").search_experiments()
            with contextlib.suppress(FileExistsError):
                os.link(aside, database)
        finally:
            aside.unlink(missing_ok=True)


def _without_password(store: str) -> str:
    """The address of a server without the user and password in it, which mlflow then reads from its variables."""
    parts = urlsplit(store)
    given, at, host = parts.netloc.rpartition("@")
    if not at or not parts.scheme.startswith("http"):
        return store
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    os.environ.update(zip(names, map(unquote, given.partition(":")[::2]), strict=True))
    return urlunsplit(parts._replace(netloc=host))


def _one_line(text: object) -> str:
    """The text in one line, with secrets masked."""
    return shown("", " ".join(str(text).split()))
