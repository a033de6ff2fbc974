"""MLflow: a run there for each run of ours, on the server that is named, else in a local store beside the runs.

MLflow's own calls raise, or wait for minutes, where a server is away, and transformers' callback and TRL make them in
the middle of a training. From here on they are made in the background, and what goes wrong is said once.
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
# Which run it is, and that its parameters are the config alone, is decided here and not by these.
OURS = {"MLFLOW_MAX_LOG_PARAMS": "0", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
NOT_OURS = ("MLFLOW_RUN_ID", "MLFLOW_NESTED_RUN", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
# Says, a line each time, what could not be handed on in the background.
BACKGROUND = "mlflow.utils.async_logging.async_logging_queue"
SQLITE, DATABASE = "sqlite:///", "mlflow.db"
LONGEST_KEY = 250


def start(config: dict[str, Any], run: Run) -> bool:
    """Start a run in MLflow, or carry on with the one that an earlier attempt had; False where neither can be done."""
    local = f"{SQLITE}{outputs_of(run.folder.resolve()) / DATABASE}"
    named = _without_password(config["tracker"].get("uri") or os.environ.get("MLFLOW_TRACKING_URI") or local)
    os.environ.update(OURS)
    for name in NOT_OURS:
        os.environ.pop(name, None)
    for store in dict.fromkeys((named, local)):
        try:
            with _impatience():
                _start_in(store, config, run, is_local=store == local)
            return True
        except Exception as error:  # mlflow's own, requests', SQLAlchemy's: all mean that it cannot be told now
            instead = "it is not told of this run" if store == local else f"recording into {local}"
            logger.warning("mlflow cannot record into %s (%s); %s", _harmless(store), _harmless(error), instead)
    return False


def _start_in(store: str, config: dict[str, Any], run: Run, is_local: bool) -> None:
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # each time that it asks again
    if is_local:
        _make_once(Path(store.removeprefix(SQLITE)))
    mlflow.set_tracking_uri(store)
    name, ids = DATABASE if is_local else _harmless(store), _ids(run)
    kept = earlier(ids.get(name))
    if kept is None:
        mlflow.set_experiment(config["tracker"].get("project") or "Default")
    else:
        mlflow.set_experiment(experiment_id=kept.info.experiment_id)
    begun = mlflow.start_run(run_id=kept and kept.info.run_id, run_name=run.run_id, tags=_tags(config, run))
    write_json(_file(run), ids | {name: begun.info.run_id})
    _log_config(config, begun.data.params)
    for call in ("log_metrics", "set_tags"):
        setattr(mlflow, call, _in_the_background(getattr(mlflow, call)))
    logging.getLogger(BACKGROUND).addFilter(_Once())


def active(run: Run) -> str | None:
    """The id of MLflow's run, where this process has one under way for this run of ours."""
    mlflow = sys.modules.get("mlflow")
    under_way = mlflow and mlflow.active_run()
    return under_way.info.run_id if under_way and under_way.info.run_id in _ids(run).values() else None


def _ids(run: Run) -> dict[str, str]:
    """Where it is recorded -> the id of MLflow's run there."""
    return mapping(read_json(_file(run)))


def _file(run: Run) -> Path:
    return run.folder / "mlflow.json"


def earlier(run_id: str | None) -> Any:
    """MLflow's run of an earlier attempt; None where there was none, or somebody has deleted it."""
    import mlflow

    if not run_id:
        return None
    try:
        found = mlflow.MlflowClient().get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return found if found.info.lifecycle_stage == "active" else None


def _tags(config: dict[str, Any], run: Run) -> dict[str, str]:
    """What people sort runs by, and the folder, since no file is copied; also mlflow's own tags, of which the address
    of a git repository may hold a password."""
    from mlflow.tracking.context.registry import resolve_tags

    told = tracked(run, config)
    tags = {key: _harmless(value) for key, value in resolve_tags().items()}
    tags |= {"group": told.group, "job_type": told.job_type} | told.chosen | {"folder": str(run.folder.resolve())}
    return tags | ({"sweep": ", ".join(told.sweeps)} if told.sweeps else {})


def _log_config(config: dict[str, Any], known: dict[str, str]) -> None:
    """The config as MLflow's parameters, but for those that an earlier attempt has told: none can be changed."""
    import mlflow
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

    cut = {_key(key).replace("/", "_"): str(value)[:MAX_PARAM_VAL_LENGTH] for key, value in leaves(config)}
    new = [(key, value) for key, value in cut.items() if key not in known]
    for first in range(0, len(new), MAX_PARAMS_TAGS_PER_BATCH):
        try:
            mlflow.log_params(dict(new[first : first + MAX_PARAMS_TAGS_PER_BATCH]))
        except Exception as error:
            logger.warning("mlflow does not take parameters of the config (%s); config.yaml has all", _harmless(error))


def _key(name: str) -> str:
    """A name as MLflow allows it, for a metric or a parameter."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:LONGEST_KEY]


def _in_the_background(call: Callable[..., Any]) -> Callable[..., None]:
    """The call without waiting for an answer and without an error: the trainer makes it at every step."""

    @functools.wraps(call)
    def called(*words: Any, **named: Any) -> None:
        try:
            call(*words, **named | {"synchronous": False})
        except Exception as error:
            logging.getLogger(BACKGROUND).error("%s", error)

    return called


class _Once(logging.Filter):
    """Lets the first failure through, with what it means."""

    def __init__(self) -> None:
        super().__init__()
        self._said = False

    def filter(self, record: logging.LogRecord) -> bool:
        if self._said:
            return False
        self._said = True
        record.msg, record.args = (
            "mlflow does not take everything; metrics.jsonl has it. %s",
            (_harmless(record.getMessage()),),
        )
        return True


def end(run_id: str, status: str, summary: Summary) -> None:
    """Tell MLflow the summary of a completed run, and what became of it; waits until all that was logged is there."""
    import mlflow
    from mlflow.entities import Metric, RunTag

    client = mlflow.MlflowClient()
    numbers = {"objective": summary.objective}
    for when, metrics_then in (("before", summary.before), ("after", summary.after)):
        numbers |= {_key(f"{when}/{name}"): value for name, value in metrics_then.items()}
    now = int(time.time() * 1000)
    metrics = [
        Metric(name, value, now, summary.steps)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    tags = [RunTag("objective_name", summary.objective_name)] if summary.objective_name else []
    try:
        client.log_batch(run_id, metrics=metrics, tags=tags)
        client.set_terminated(run_id, STATUS[status])
    except Exception as error:
        logger.warning("mlflow does not know that the run is %s (%s)", status, _harmless(error))


@contextlib.contextmanager
def _impatience() -> Iterator[None]:
    """While a training waits, a server is asked twice and not for minutes; what the user has set holds."""
    words = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REACH_SECONDS)}
    ours = {name: word for name, word in words.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _make_once(database: Path) -> None:
    """Create the local store, seconds in which other cells of a sweep want the same: aside, and put in place whole.

    MLflow cannot go on with tables that another process was killed over, or is making on another machine.
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


def _harmless(words: object) -> str:
    """One line without secrets."""
    return shown("", " ".join(str(words).split()))
