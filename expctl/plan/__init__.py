"""The memory of a training, foreseen from the shape of its model, its rows and their lengths. Without torch.

    plan = estimate(experiment, FieldValues(experiment.config["args"], experiment.code_folders))
    plan.training.total, plan.sampling, plan.peak.parts, plan.fits

`replace(plan.workload, rows=...)` asks of other rows: `Plan(workload, plan.device)`.
"""

from expctl.base.experiment import Experiment
from expctl.plan.device import device_of
from expctl.plan.plan import Device, Peak, Plan
from expctl.plan.reading import workload_of
from expctl.plan.settings import Settings
from expctl.plan.workload import Adapter, Precision, Sampling, Workload

__all__ = ["Adapter", "Device", "Peak", "Plan", "Precision", "Sampling", "Workload", "device_of", "estimate"]


def estimate(experiment: Experiment, settings: Settings, device: Device | None = None) -> Plan:
    """The plan of an experiment.

    Args:
        experiment: composed; its model and data need not be here.
        settings: of `args`, with the defaults of the trainer's own class.
        device: what it runs on; None asks this machine, and `hardware.memory_gib`.

    Raises:
        Refusal: nothing is known of the model's shape.
    """
    device = device or device_of(experiment)
    return Plan(workload_of(experiment, settings, device.memory), device)
