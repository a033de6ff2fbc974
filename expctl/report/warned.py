"""What a run warned of, as a person reads it."""

from expctl.runs.alerts import Alert, advice, sentence


def alert_lines(alert: Alert) -> list[str]:
    """What a training said of itself, and below it what to do."""
    do = advice(alert)
    return [f"warning: {sentence(alert)}", *([f"  do       {do}"] if do else [])]
