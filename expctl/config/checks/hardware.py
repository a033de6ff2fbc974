"""Whether this machine has what the hardware group asks for."""

from importlib.util import find_spec

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.devices import detection, sharding


def check_hardware(experiment: Experiment) -> list[Refusal]:
    """Refuse GPUs that are not there, more processes than devices, a number format that cannot run."""
    use_cpu = bool(experiment.config["args"].get("use_cpu", experiment.hardware["use_cpu"]))
    device = _device_refusal(experiment, use_cpu)
    return [
        *([device] if device else []),
        *_check_machines(experiment),
        *_check_sharding(experiment),
        *_check_precision(experiment, use_cpu),
    ]


def _device_refusal(experiment: Experiment, use_cpu: bool) -> Refusal | None:
    """What is wrong with the devices that the processes get."""
    hardware = experiment.hardware
    if use_cpu != hardware["use_cpu"]:
        return Refusal(
            f"args.use_cpu={str(use_cpu).lower()} contradicts hardware.use_cpu={str(hardware['use_cpu']).lower()}",
            where=experiment.set_by("args.use_cpu"),
            do="choose the devices by hardware=cpu or hardware=gpu",
        )
    if use_cpu and hardware["sharding"]:
        return Refusal(
            "a model cannot be split over CPU processes: accelerate would silently copy it to each instead",
            where=experiment.set_by("hardware"),
            do="hardware=cpu_2, or a machine with GPUs",
        )
    if experiment.runs_remotely:
        return _remote_refusal(experiment)
    return _too_many_processes(experiment, use_cpu)


def _remote_refusal(experiment: Experiment) -> Refusal | None:
    """What a job finds on the machine that runs it is for that machine to check; here it must only be said."""
    if experiment.choices.get("hardware") != "auto":
        return None
    return Refusal(
        "hardware=auto looks at the machine that it is typed on, but this cell runs on another",
        where=experiment.set_by("hardware"),
        do="say what that one has: hardware=gpu, hardware=gpu_8, hardware=cpu, ...",
    )


def _too_many_processes(experiment: Experiment, use_cpu: bool) -> Refusal | None:
    asked, cores, gpus = experiment.hardware["num_processes"], detection.cores(), detection.visible_gpus()
    where = experiment.set_by("hardware.num_processes")
    if use_cpu and asked > cores and not experiment.in_group:
        do = f"hardware.num_processes={cores} or fewer"
        return Refusal(f"{asked} processes on {cores} CPU cores", where=where, do=do)
    if use_cpu:
        return None
    if gpus == 0:
        return Refusal(
            f"hardware={experiment.choices.get('hardware', 'gpu')} needs a GPU and this machine shows none",
            where=experiment.set_by("hardware"),
            do="hardware=cpu or hardware=auto; is CUDA_VISIBLE_DEVICES empty?",
        )
    if asked > gpus and not experiment.in_group:
        what = f"{asked} processes on {gpus} GPU{'s' if gpus > 1 else ''}, one process needs one"
        return Refusal(what, where=where, do=f"hardware.num_processes={gpus}")
    return None


def _check_machines(experiment: Experiment) -> list[Refusal]:
    machines, processes = (experiment.hardware[key] for key in ("num_machines", "num_processes"))
    if machines == 1 or experiment.in_group or experiment.runs_remotely:
        return []
    return [
        Refusal(
            f"{machines} machines, and this command starts processes on its own only",
            where=experiment.set_by("hardware.num_machines"),
            do=f"start it on each of them: torchrun --nnodes {machines} --nproc_per_node {processes} "
            "--rdzv_backend c10d --rdzv_endpoint HOST:29500 -m expctl ..., "
            f"or srun --nodes {machines} --ntasks-per-node {processes} expctl ...",
        )
    ]


def _check_sharding(experiment: Experiment) -> list[Refusal]:
    """Keys that accelerate would pass over in silence, values that were never tried, a package that is not there."""
    split = experiment.hardware["sharding"]
    if not split:
        return []
    deepspeed = sharding.is_deepspeed(split)
    known = sharding.DEEPSPEED if deepspeed else sharding.FSDP
    refusals = []
    for key, value in split.items():
        where = experiment.set_by(f"hardware.sharding.{key}")
        if key not in known:
            what = f"no key 'hardware.sharding.{key}' for {'DeepSpeed' if deepspeed else 'FSDP2'}"
            refusals.append(Refusal(what, where=where, nearest=nearest(key, known)))
        elif value not in sharding.ALLOWED.get(key, (value,)):
            allowed = " or ".join(str(option).lower() for option in sharding.ALLOWED[key])
            refusals.append(Refusal(f"'hardware.sharding.{key}' is {value!r}; it can be {allowed}", where=where))
    if not deepspeed and "fsdp_version" not in split:
        what = "hardware.sharding says neither fsdp_version nor zero_stage"
        where = experiment.set_by("hardware.sharding")
        refusals.append(Refusal(what, where=where, do="hardware=gpu_8_fsdp2 or hardware=gpu_8_zero3"))
    if deepspeed and find_spec("deepspeed") is None:
        what = "ZeRO needs the package deepspeed, which is not installed"
        where = experiment.set_by("hardware.sharding.zero_stage")
        refusals.append(Refusal(what, where=where, do="pip install 'expctl[deepspeed]', or hardware=gpu_8_fsdp2"))
    return refusals


def _check_precision(experiment: Experiment, use_cpu: bool) -> list[Refusal]:
    args = experiment.config["args"]
    bf16, fp16 = args.get("bf16"), args.get("fp16")
    if bf16 and fp16:
        return [Refusal("args.bf16 and args.fp16 are both true", where=experiment.set_by("args.fp16"), do="choose one")]
    if fp16 and use_cpu:
        return [Refusal("fp16 does not train on a CPU", where=experiment.set_by("args.fp16"), do="args.fp16=false")]
    if bf16 and not use_cpu and not experiment.runs_remotely and not detection.gpu_runs_bf16():
        capability = detection.compute_capability()
        return [
            Refusal(
                f"bf16 needs compute capability 8.0 (Ampere or newer); this GPU has {capability}",
                where=experiment.set_by("args.bf16"),
                do="hardware.bf16=false hardware.fp16=true, or both false for float32",
            )
        ]
    return []
