"""What a training said of itself while it ran: signs that it learns nothing, as they stand in `run.json`.

An alert is a mapping with `kind`, `step` and `last_step` (the first and the last logged step at which it held), `steps`
(how many it held for, between these), `text` (what, with its numbers) and `do` (the setting to change, with its value).
"""

from typing import Any

from expctl.base.plain_data import mapping, sequence

Alert = dict[str, Any]


def alerts_of(told: Any) -> list[Alert]:
    """The alerts of a manifest, or of a progress file; what is no alert is left out."""
    alerts = [mapping(alert) for alert in sequence(mapping(told).get("alerts"))]
    return [alert for alert in alerts if isinstance(alert.get("kind"), str) and isinstance(alert.get("text"), str)]


def sentence(alert: Alert) -> str:
    """`steps 3 to 17: every completion ...`"""
    return f"{_steps(alert)}: {alert['text']}"


def advice(alert: Alert) -> str:
    do = alert.get("do")
    return do if isinstance(do, str) else ""


def kinds(alerts: list[Alert]) -> str:
    """In the few words that a column has room for."""
    return ", ".join(alert["kind"].replace("_", " ") for alert in alerts)


def _steps(alert: Alert) -> str:
    first, last, steps = (alert.get(name) for name in ("step", "last_step", "steps"))
    if not all(type(number) is int for number in (first, last, steps)):
        return "at some step"
    if first == last:
        return f"step {first}"
    within = last - first + 1
    return f"steps {first} to {last}" if steps >= within else f"{steps} of the steps {first} to {last}"
