"""Alerts as a person reads them: what a training said of itself while it ran (see `expctl.runs.records.Alert`)."""

from collections.abc import Iterable

from expctl.runs.files import Run
from expctl.runs.records import Alert, Manifest


def alerts_of(run: Run) -> list[Alert]:
    """The alerts in a run's manifest; none where it cannot be read."""
    manifest = Manifest.read(run.manifest)
    return manifest.alerts if manifest else []


def sentence(alert: Alert) -> str:
    """`steps 3 to 17: every completion ...`"""
    return f"{_steps(alert)}: {alert.text}"


def kinds(alerts: Iterable[Alert]) -> str:
    """In the few words that a column has room for."""
    return ", ".join(alert.kind.replace("_", " ") for alert in alerts)


def _steps(alert: Alert) -> str:
    first, last, steps = alert.step, alert.last_step, alert.steps
    if first is None or last is None or steps is None:
        return "at some step"
    if first == last:
        return f"step {first}"
    within = last - first + 1
    return f"steps {first} to {last}" if steps >= within else f"{steps} of the steps {first} to {last}"
