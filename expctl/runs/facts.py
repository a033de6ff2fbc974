"""What is known of a run as one flat mapping: names as a person types them, from whatever state its files are in.

Keys of the config are dotted (`args.learning_rate`), a group has the name of what was chosen in it (`algorithm`),
metrics have their own names (`eval_reward`; `before.eval_reward` is that of the evaluation before training; one that is
called like a group is `train.reward`), and `run`, `status`, `host`, `started`, `ended`, `step`, `steps`, `objective`,
`error`, ... are what run.json and summary.json say.
"""

from collections.abc import Collection
from typing import Any

from expctl.base.plain_data import leaves, mapping, number, sequence, text
from expctl.runs import manifest, reading
from expctl.runs.alerts import alerts_of, kinds
from expctl.runs.files import Run, read_json
from expctl.runs.reading import UnreadableError, read_yaml

BROKEN = "broken"
UNDER_WAY = (manifest.CREATED, manifest.RUNNING)
STATUSES = (*UNDER_WAY, manifest.COMPLETED, manifest.FAILED, manifest.INTERRUPTED)
# What can be asked also while no run has it.
ALWAYS = ("objective", "objective_name", "direction", "step", "steps", "seconds", "error", "damaged",
          "alerts", "no_objective")  # fmt: skip
# Nobody compares runs by these, and they would hide args.learning_rate behind its value at the last step.
_METRICS_WITHOUT = ("learning_rate",)


def facts(run: Run) -> dict[str, Any]:
    """Everything known of a run as it is now; of one whose run.json says nothing, status `broken` and the `error`."""
    return with_what_changes(run, recorded(run))


def recorded(run: Run) -> dict[str, Any]:
    """What the files say, which holds for as long as they stay the same."""
    try:
        told = _manifest(run)
    except ValueError as error:
        return {"run": run.run_id, "status": BROKEN, "error": f"run.json {error}"}
    damaged: list[str] = []
    found: dict[str, Any] = {"run": run.run_id}
    names = ("status", "name", "started", "ended", "host", "folder", "command", "error")
    found |= {name: text(told.get(name)) for name in names} | {"attempts": len(sequence(told.get("attempts")))}
    found["alerts"] = kinds(alerts_of(told)) or None
    found["typed"] = _keys(told.get("overrides"))
    settings = _flat({"versions": mapping(told.get("versions"))}) | _config(run, damaged)
    settings |= {group: text(option) for group, option in mapping(told.get("choices")).items()}
    found |= {name: value for name, value in settings.items() if name not in found}
    found |= _under_free_names(_metrics(run, found["status"], damaged), found)
    return found | ({"damaged": "; ".join(damaged)} if damaged else {})


def with_what_changes(run: Run, known: dict[str, Any]) -> dict[str, Any]:
    """The facts with status and progress as they are now, where run.json says that the run is under way."""
    if known["status"] not in UNDER_WAY:
        return known
    try:
        told = manifest.read(run) or {}
    except OSError:  # files of its ranks are not ours to explain
        told = {"status": manifest.INTERRUPTED}
    now = {key: text(told.get(key)) for key in ("status", "error")}
    return known | now | _under_free_names(_progress(run), known)


def _manifest(run: Run) -> dict[str, Any]:
    """The content of run.json. Raises ValueError saying what it is instead."""
    try:
        told = reading.read_json(run.manifest)
    except OSError as error:
        raise UnreadableError(_what(error)) from error
    if not isinstance(told, dict) or told.get("status") not in STATUSES or "run_id" not in told:
        raise UnreadableError("is no manifest of expctl")
    return told


def _what(error: OSError | ValueError) -> str:
    """What is wrong with a file, in words that follow its name."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _config(run: Run, damaged: list[str]) -> dict[str, Any]:
    try:
        config = read_yaml(run.config)
    except OSError as error:
        damaged.append(f"{run.config.name} {_what(error)}")
        return {}
    except ValueError as error:
        damaged.append(f"{run.config.name} is no config: it {error}")
        return {}
    if isinstance(config, dict):
        return _flat(config)
    damaged.append(f"{run.config.name} is no config")
    return {}


def _metrics(run: Run, status: str, damaged: list[str]) -> dict[str, Any]:
    """Of a completed run what its summary says, of one that has ended otherwise the last that was heard of it."""
    if status in UNDER_WAY:
        return {}
    if status != manifest.COMPLETED:
        return _progress(run)
    try:
        summary = reading.read_json(run.summary)
        if not isinstance(summary, dict):
            raise UnreadableError("is no summary")
    except (OSError, ValueError) as error:
        damaged.append(f"{run.summary.name} {_what(error)}")
        return {}
    found = _numbers(summary.get("train")) | _numbers(summary.get("after"))
    found |= {f"before.{name}": value for name, value in _numbers(summary.get("before")).items()}
    found |= {name: text(summary.get(name)) for name in ("objective_name", "direction", "no_objective")}
    steps = number(summary.get("steps"))
    found |= {"objective": number(summary.get("objective")), "step": steps, "steps": steps}
    return found | {"seconds": number(mapping(summary.get("seconds")).get("total"))}


def _progress(run: Run) -> dict[str, Any]:
    state = mapping(read_json(run.progress))
    return _numbers(state.get("metrics")) | {"step": number(state.get("step")), "steps": number(state.get("of"))}


def _under_free_names(metrics: dict[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """A metric called like a group or a key is `train.reward`."""
    return {f"train.{name}" if name in taken else name: value for name, value in metrics.items()}


def _numbers(metrics: Any) -> dict[str, float | None]:
    kept = {name: value for name, value in mapping(metrics).items() if name not in _METRICS_WITHOUT}
    return {name: value for name, value in kept.items() if value is None or type(value) in (int, float)}


def _keys(overrides: Any) -> list[str]:
    """The keys that were typed."""
    words = [word.lstrip("+~") for word in sequence(overrides) if isinstance(word, str)]
    return [word.partition("=")[0].partition("@")[0] for word in words]


def _flat(node: Any) -> dict[str, Any]:
    """Dotted key -> leaf; lists are leaves."""
    return {key: value for key, value in leaves(node) if value != {}}
