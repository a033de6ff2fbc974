"""On the PYTHONPATH of a test, two of the CPU's processes pass for two GPUs, so that sharding can run without any.

accelerate shards on devices only, and copies the model to every process of a CPU instead, without a word. Here it is
told that it has devices, which are the CPU, and talk over gloo. All that follows is accelerate's own, and the command
that launches believes in the GPUs as well.
"""

import importlib.abc
import importlib.machinery
import os
import sys


def pass_for_gpus(module) -> None:
    if module.__name__ == "expctl.devices.detection":
        module.gpu_names = lambda *_: ["0", "1"]
        return
    if module.__name__ == "deepspeed.comm.torch":
        # It would compile a library for what CPUs of one machine share; GPUs have no such thing.
        module.build_shm_op = lambda: None
        return
    import torch
    from accelerate.utils import DistributedType

    def prepare_backend(self, cpu=False, sagemaker_dp=False, backend=None):
        return ("gloo", DistributedType.MULTI_GPU) if "LOCAL_RANK" in os.environ else (None, DistributedType.NO)

    def set_device(self):
        self.device = torch.device("cpu")

    module.PartialState._prepare_backend = prepare_backend
    module.PartialState.set_device = set_device


COMMAND, WORKERS = ("expctl.devices.detection",), ("accelerate.state", "deepspeed.comm.torch")
PASSING = COMMAND if os.environ.get("CPU_AS_GPUS") == "command" else COMMAND + WORKERS


class PassForGPUs(importlib.abc.MetaPathFinder):
    """Patches a module right after it is executed, so that nothing is imported that would not be."""

    def find_spec(self, name, path, target=None):
        if name not in PASSING:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def execute_and_patch(module):
            execute(module)
            pass_for_gpus(module)

        spec.loader.exec_module = execute_and_patch
        return spec


sys.meta_path.insert(0, PassForGPUs())
