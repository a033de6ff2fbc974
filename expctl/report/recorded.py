"""What a manifest says of machine and code, in a few words; empty where it says nothing."""

from typing import Any

from expctl.base.plain_data import mapping, sequence


def machine(told: dict[str, Any]) -> str:
    """`node1; 2 x NVIDIA H200, 143771 MiB`; of a machine without GPUs its processor."""
    devices = mapping(told.get("devices"))
    gpus = list(map(str, sequence(devices.get("gpus"))))
    on = [f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)]
    on = on or ([f"{devices['cpu']}, {devices.get('cores')} cores"] if devices.get("cpu") else [])
    return "; ".join([str(told.get("host") or "unknown"), *on]) if told.get("host") or on else ""


def commit(told: dict[str, Any]) -> str:
    """`0123456789ab with changes`."""
    git = mapping(told.get("git"))
    return f"{str(git['sha'])[:12]}{' with changes' if git.get('dirty') else ''}" if git.get("sha") else ""
