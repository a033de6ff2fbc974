"""The facts of a run: one flat mapping by names as a person types them, whatever state its files are in.

Keys of the config are dotted (`args.learning_rate`), a group has the name of what was chosen in it (`algorithm`),
metrics have their own names (`eval_reward`; `before.eval_reward` is that of the evaluation before training; one that is
called like a group is `train.reward`), and `run`, `status`, `host`, `started`, `ended`, `step`, `steps`, `objective`,
`error`, ... are what run.json and summary.json say.
"""

from collections.abc import Collection
from typing import Any

from expctl.base.data_kinds import with_current_kinds
from expctl.base.plain_data import leaves
from expctl.base.words import key_of
from expctl.runs import manifest, reading
from expctl.runs.alerts import kinds
from expctl.runs.files import Run
from expctl.runs.reading import UnreadableError
from expctl.runs.records import Manifest, ProgressState, Summary

UNDER_WAY = (manifest.CREATED, manifest.RUNNING)
STATUSES = (*UNDER_WAY, manifest.COMPLETED, manifest.FAILED, manifest.INTERRUPTED)
# What can be asked also while no run has it.
ALWAYS = (
    *("objective", "objective_name", "no_objective", "direction", "step", "steps", "seconds"),
    *("error", "damaged", "alerts"),
)
# Nobody compares runs by these, and they would hide args.learning_rate behind its value at the last step.
_METRICS_WITHOUT = ("learning_rate",)


def facts(run: Run) -> dict[str, Any]:
    """All facts of a run as it is now; status `broken` and the `error` where its run.json cannot be read."""
    return with_current_status(run, recorded_facts(run))


def recorded_facts(run: Run) -> dict[str, Any]:
    """The facts that hold for as long as the files stay the same."""
    try:
        recorded = _manifest(run)
    except ValueError as error:
        return {"run": run.run_id, "status": manifest.BROKEN, "error": f"run.json {error}"}
    damaged: list[str] = []
    known = _of_manifest(run, recorded)
    settings = _flat({"versions": recorded.versions}) | _config(run, damaged) | recorded.choices
    known |= {name: value for name, value in settings.items() if name not in known}
    known |= _under_free_names(_metrics(run, recorded.status, damaged), known)
    return known | ({"damaged": "; ".join(damaged)} if damaged else {})


def _of_manifest(run: Run, recorded: Manifest) -> dict[str, Any]:
    """The facts of the manifest."""
    return {
        "run": run.run_id,
        "status": recorded.status,
        "name": recorded.name,
        "started": recorded.started,
        "ended": recorded.ended,
        "host": recorded.host,
        "folder": recorded.folder,
        "command": recorded.command,
        "error": recorded.error,
        "attempts": len(recorded.attempts),
        "alerts": kinds(recorded.alerts) or None,
        "started_from": recorded.lineage.run_id if recorded.lineage else None,
        "typed": _keys(recorded.overrides),
    }


def with_current_status(run: Run, known: dict[str, Any]) -> dict[str, Any]:
    """The facts with the current status and progress, where run.json says that the run is under way."""
    if known["status"] not in UNDER_WAY:
        return known
    try:
        recorded = manifest.read(run)
        now = {"status": recorded.status, "error": recorded.error} if recorded else {"status": None, "error": None}
    except OSError:  # files of its ranks are not ours to explain
        now = {"status": manifest.INTERRUPTED, "error": None}
    return known | now | _under_free_names(_progress(run), known)


def _manifest(run: Run) -> Manifest:
    """The content of run.json. Raises ValueError saying what it is instead."""
    try:
        content = reading.read_json(run.manifest)
    except OSError as error:
        raise UnreadableError(_what(error)) from error
    recorded = Manifest.from_plain(content)
    if recorded is None or recorded.status not in STATUSES or "run_id" not in content:
        raise UnreadableError("is no manifest of expctl")
    if recorded.is_newer():
        raise UnreadableError(f"is of format {recorded.format}, which a newer expctl has written")
    return recorded


def _what(error: OSError | ValueError) -> str:
    """What is wrong with a file, to follow its name."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _config(run: Run, damaged: list[str]) -> dict[str, Any]:
    from expctl.runs.yaml_reading import (
        read_yaml,  # here, since a listing reads runs that it has not seen, and no others
    )

    try:
        config = read_yaml(run.config)
    except OSError as error:
        damaged.append(f"{run.config.name} {_what(error)}")
        return {}
    except ValueError as error:
        damaged.append(f"{run.config.name} is no config: it {error}")
        return {}
    if isinstance(config, dict):
        return _flat(with_current_kinds(config))
    damaged.append(f"{run.config.name} is no config")
    return {}


def _metrics(run: Run, status: str, damaged: list[str]) -> dict[str, Any]:
    """The metrics of a completed run by its summary; of a failed or interrupted one those that it reported last."""
    if status in UNDER_WAY:
        return {}
    if status != manifest.COMPLETED:
        return _progress(run)
    try:
        summary = Summary.from_plain(reading.read_json(run.summary))
        if summary is None:
            raise UnreadableError("is no summary")
        if summary.is_newer():
            raise UnreadableError(f"is of format {summary.format}, which a newer expctl has written")
    except (OSError, ValueError) as error:
        damaged.append(f"{run.summary.name} {_what(error)}")
        return {}
    return {
        **_numbers(summary.train),
        **_numbers(summary.after),
        **{f"before.{name}": value for name, value in _numbers(summary.before).items()},
        "objective_name": summary.objective_name,
        "direction": summary.direction,
        "no_objective": summary.no_objective,
        "objective": summary.objective,
        "step": summary.steps,
        "steps": summary.steps,
        "seconds": summary.seconds.get("total"),
    }


def _progress(run: Run) -> dict[str, Any]:
    progress = ProgressState.read(run.progress)
    if progress is None:
        return {"step": None, "steps": None}
    return _numbers(progress.metrics) | {"step": progress.step, "steps": progress.of}


def _under_free_names(metrics: dict[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """A metric called like a group or a key is `train.reward`."""
    return {f"train.{name}" if name in taken else name: value for name, value in metrics.items()}


def _numbers(metrics: dict[str, float | None]) -> dict[str, float | None]:
    return {name: value for name, value in metrics.items() if name not in _METRICS_WITHOUT}


def _keys(overrides: list[str]) -> list[str]:
    """The keys that were typed."""
    return [key_of(word).partition("@")[0] for word in overrides]


def _flat(node: Any) -> dict[str, Any]:
    """Dotted key -> leaf; lists are leaves."""
    return {key: value for key, value in leaves(node) if value != {}}
