"""Does this machine have what the hardware group asks for?"""

from importlib.util import find_spec
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest
from expctl.devices import detection, sharding


def check_hardware(experiment: Experiment) -> list[Refusal]:
    """GPUs that are not there, more processes than devices, a number format that cannot run."""
    hardware, args = experiment.config["hardware"], experiment.config["args"]
    use_cpu = args.get("use_cpu", hardware["use_cpu"])
    asked, gpus = hardware["num_processes"], detection.visible_gpus()
    chosen = set_by("hardware", experiment.sources)
    found = []
    if use_cpu != hardware["use_cpu"]:
        found.append(
            Refusal(
                f"args.use_cpu={str(use_cpu).lower()} contradicts hardware.use_cpu={str(hardware['use_cpu']).lower()}",
                where=set_by("args.use_cpu", experiment.sources),
                do="choose the devices by hardware=cpu or hardware=gpu",
            )
        )
    elif use_cpu and hardware["sharding"]:
        found.append(
            Refusal(
                "a model cannot be split over CPU processes: accelerate would silently copy it to each instead",
                where=chosen,
                do="hardware=cpu_2, or a machine with GPUs",
            )
        )
    elif experiment.elsewhere:
        found += _check_elsewhere(experiment)
    elif use_cpu and asked > detection.cores() and not experiment.in_group:
        found.append(
            Refusal(
                f"{asked} processes on {detection.cores()} CPU cores",
                where=set_by("hardware.num_processes", experiment.sources),
                do=f"hardware.num_processes={detection.cores()} or fewer",
            )
        )
    elif not use_cpu and gpus == 0:
        found.append(
            Refusal(
                f"hardware={experiment.choices.get('hardware', 'gpu')} needs a GPU and this machine shows none",
                where=chosen,
                do="hardware=cpu or hardware=auto; is CUDA_VISIBLE_DEVICES empty?",
            )
        )
    elif not use_cpu and asked > gpus and not experiment.in_group:
        found.append(
            Refusal(
                f"{asked} processes on {gpus} GPU{'s' if gpus > 1 else ''}, one process needs one",
                where=set_by("hardware.num_processes", experiment.sources),
                do=f"hardware.num_processes={gpus}",
            )
        )
    return (
        found + _check_machines(experiment) + _check_sharding(experiment) + _check_precision(experiment, bool(use_cpu))
    )


def _check_elsewhere(experiment: Experiment) -> list[Refusal]:
    """What a cell finds on the machine that runs it is for that machine to check; here it must only be said."""
    if experiment.choices.get("hardware") != "auto":
        return []
    return [
        Refusal(
            "hardware=auto looks at the machine that it is typed on, but this cell runs on another",
            where=set_by("hardware", experiment.sources),
            do="say what that one has: hardware=gpu, hardware=gpu_8, hardware=cpu, ...",
        )
    ]


def _check_machines(experiment: Experiment) -> list[Refusal]:
    machines, processes = (experiment.config["hardware"][key] for key in ("num_machines", "num_processes"))
    if machines == 1 or experiment.in_group or experiment.elsewhere:
        return []
    return [
        Refusal(
            f"{machines} machines, and this command starts processes on its own only",
            where=set_by("hardware.num_machines", experiment.sources),
            do=f"start it on each of them: torchrun --nnodes {machines} --nproc_per_node {processes} "
            "--rdzv_backend c10d --rdzv_endpoint HOST:29500 -m expctl ..., "
            f"or srun --nodes {machines} --ntasks-per-node {processes} expctl ...",
        )
    ]


def _check_sharding(experiment: Experiment) -> list[Refusal]:
    """Keys that accelerate would pass over in silence, values that were never tried, a package that is not there."""
    split: dict[str, Any] = experiment.config["hardware"]["sharding"]
    if not split:
        return []
    deepspeed = sharding.is_deepspeed(split)
    known = sharding.DEEPSPEED if deepspeed else sharding.FSDP
    found = []
    for key, value in split.items():
        where = set_by(f"hardware.sharding.{key}", experiment.sources)
        if key not in known:
            what = f"no key 'hardware.sharding.{key}' for {'DeepSpeed' if deepspeed else 'FSDP2'}"
            found.append(Refusal(what, where=where, nearest=nearest(key, known)))
        elif value not in sharding.ALLOWED.get(key, (value,)):
            allowed = " or ".join(str(each).lower() for each in sharding.ALLOWED[key])
            found.append(Refusal(f"'hardware.sharding.{key}' is {value!r}; it can be {allowed}", where=where))
    if not deepspeed and "fsdp_version" not in split:
        what = "hardware.sharding says neither fsdp_version nor zero_stage"
        where = set_by("hardware.sharding", experiment.sources)
        found.append(Refusal(what, where=where, do="hardware=gpu_8_fsdp2 or hardware=gpu_8_zero3"))
    if deepspeed and find_spec("deepspeed") is None:
        what = "ZeRO needs the package deepspeed, which is not installed"
        where = set_by("hardware.sharding.zero_stage", experiment.sources)
        found.append(Refusal(what, where=where, do="pip install 'expctl[deepspeed]', or hardware=gpu_8_fsdp2"))
    return found


def _check_precision(experiment: Experiment, use_cpu: bool) -> list[Refusal]:
    args, sources = experiment.config["args"], experiment.sources
    bf16, fp16 = args.get("bf16"), args.get("fp16")
    if bf16 and fp16:
        return [Refusal("args.bf16 and args.fp16 are both true", where=set_by("args.fp16", sources), do="choose one")]
    if fp16 and use_cpu:
        return [Refusal("fp16 does not train on a CPU", where=set_by("args.fp16", sources), do="args.fp16=false")]
    if bf16 and not use_cpu and not experiment.elsewhere and not detection.gpu_runs_bf16():
        capability = detection.compute_capability()
        return [
            Refusal(
                f"bf16 needs compute capability 8.0 (Ampere or newer); this GPU has {capability}",
                where=set_by("args.bf16", sources),
                do="hardware.bf16=false hardware.fp16=true, or both false for float32",
            )
        ]
    return []
