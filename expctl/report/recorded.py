"""What a manifest says of machine and code, in a few words; empty where it says nothing."""

from expctl.runs.provenance_records import Devices
from expctl.runs.records import Manifest


def machine(manifest: Manifest) -> str:
    """`node1; 2 x NVIDIA H200, 143771 MiB`; of a machine without GPUs its processor."""
    devices = manifest.devices or Devices()
    processors = [f"{devices.gpus.count(name)} x {name}" for name in dict.fromkeys(devices.gpus)]
    if not processors and devices.cpu:
        processors = [f"{devices.cpu}, {devices.cores} cores"]
    if not manifest.host and not processors:
        return ""
    return "; ".join([manifest.host or "unknown", *processors])


def commit(manifest: Manifest) -> str:
    """`0123456789ab with changes`."""
    if not manifest.git.sha:
        return ""
    return f"{manifest.git.sha[:12]}{' with changes' if manifest.git.dirty else ''}"
