"""What a run warned of, as a person reads it."""

from expctl.runs.alerts import sentence
from expctl.runs.records import Alert


def alert_lines(alert: Alert) -> list[str]:
    """What a training said of itself, and below it what to do."""
    advice = [f"  do       {alert.do}"] if alert.do else []
    return [f"warning: {sentence(alert)}", *advice]
