"""Switch off the telemetry of libraries, unless EXPCTL_TELEMETRY=1 allows it."""

from collections.abc import MutableMapping

KEY = "EXPCTL_TELEMETRY"

# Variable -> the value that silences its library. They are read when the library is imported, so they are set before.
SILENT = {
    "DO_NOT_TRACK": "1",  # a convention (https://consoledonottrack.com): the hub's client, vLLM and others heed it
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the hub's client; TRL reports every trainer through it
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets: a request for each loader of files
    "GRADIO_ANALYTICS_ENABLED": "False",  # under trackio
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "WANDB_ERROR_REPORTING": "false",  # reports of crashes
}


def silence(environment: MutableMapping[str, str]) -> None:
    """Set the variables that switch telemetry off, except for those that are set already."""
    if environment.get(KEY, "").lower() in ("1", "true", "yes", "on"):
        return
    for name, value in SILENT.items():
        environment.setdefault(name, value)
