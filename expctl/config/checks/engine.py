"""The engine that samples: whether it is installed, fits the devices, and holds what is set."""

from collections.abc import Callable

from expctl.base.engine import COLOCATED, SERVER, has_own_node, joined_server, server_devices, starts_server, vllm_mode
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.words import counted
from expctl.config import engine_facts
from expctl.config.checks.settings import TrainerSettings
from expctl.devices import detection

# Of a mode of TRL's correction: VESPO weighs single tokens.
TOKEN_MODES = ("token_truncate", "token_mask")
SHORT_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


def check_engine(experiment: Experiment) -> list[Refusal]:
    """Refuse an engine that is not here, or that could not start or sample with these settings."""
    settings = TrainerSettings(experiment)
    mode = vllm_mode(experiment.config)
    if mode is None:
        return _paged(settings)
    checks: list[Callable[[TrainerSettings], list[Refusal]]] = [_both, _package, _loss, _share_on_cpu]
    if mode == COLOCATED:
        checks += [_split, _sleep, _heads, _quantized, _memory]
    if mode == SERVER:
        checks += [_heads, _own_server, _joined]
    for check in checks:  # the first one only: what follows would rest on it
        if refusals := check(settings):
            return refusals
    return []


def _paged(settings: TrainerSettings) -> list[Refusal]:
    """TRL casts the weights that are trained, for good, to the format of the mixed precision."""
    args = settings.args
    if not args["use_transformers_continuous_batching"]:
        return []
    wanted = next((dtype for field, dtype in SHORT_DTYPES.items() if args[field]), None)
    dtype = settings.experiment.config["model"].get("dtype", "float32")
    if wanted is None or dtype == wanted:
        return []
    return [
        Refusal(
            f"continuous batching turns the weights that are trained into {wanted} for good (TRL casts them in place), "
            f"and model.dtype={dtype} asks for others",
            where=settings.where("generation"),
            do=f"generation=vllm or generation=transformers; or model.dtype={wanted}, which loses small updates",
        )
    ]


def _both(settings: TrainerSettings) -> list[Refusal]:
    if not settings.args["use_transformers_continuous_batching"]:
        return []
    what = "args.use_vllm and args.use_transformers_continuous_batching are both true"
    where = settings.where("args.use_transformers_continuous_batching")
    return [Refusal(what, where=where, do="generation=vllm or generation=paged")]


def _package(settings: TrainerSettings) -> list[Refusal]:
    if settings.experiment.runs_remotely:
        return []
    version, allowed = engine_facts.vllm_version(), engine_facts.versions_of_trl()
    option = settings.experiment.choices.get("generation", "")
    is_chosen = option.startswith("vllm")
    where = settings.where("generation" if is_chosen else "args.use_vllm")
    if version is None:
        chosen = f"generation={option}" if is_chosen else "args.use_vllm=true"
        what = f"{chosen} needs the package vllm, which is not installed"
        do = "pip install 'expctl[vllm]' (on a CPU as docs/generation.md says), or generation=transformers"
        return [Refusal(what, where=where, do=do)]
    if allowed is None or engine_facts.is_between(version, *allowed):
        return []
    what = f"vLLM {version} is installed, and this TRL takes {allowed[0]} to {allowed[1]}"
    return [
        Refusal(what, where=where, do=f"pip install 'vllm>={allowed[0]},<={allowed[1]}', or generation=transformers")
    ]


def _loss(settings: TrainerSettings) -> list[Refusal]:
    args, mode = settings.args, settings.args["vllm_importance_sampling_mode"]
    if args["loss_type"] != "vespo" or not args["vllm_importance_sampling_correction"] or mode in TOKEN_MODES:
        return []
    what = f"loss_type=vespo needs a correction of single tokens, and args.vllm_importance_sampling_mode is {mode}"
    where = settings.where("args.loss_type", "args.vllm_importance_sampling_mode")
    return [Refusal(what, where=where, nearest=TOKEN_MODES, do="args.vllm_importance_sampling_mode=token_truncate")]


def _split(settings: TrainerSettings) -> list[Refusal]:
    parts = settings.args["vllm_tensor_parallel_size"] or 1
    hardware = settings.experiment.hardware
    world = hardware["num_processes"] * hardware["num_machines"]
    if world % parts == 0:
        return []
    what = f"args.vllm_tensor_parallel_size={parts} splits an engine over {parts} processes, and {world} do not divide"
    fitting = [number for number in range(1, world + 1) if world % number == 0]
    do = f"one of {', '.join(map(str, fitting))}, or another hardware.num_processes"
    return [Refusal(what, where=settings.where("args.vllm_tensor_parallel_size"), do=do)]


def _sleep(settings: TrainerSettings) -> list[Refusal]:
    if not settings.args["vllm_enable_sleep_mode"] or not settings.experiment.hardware["use_cpu"]:
        return []
    what = "args.vllm_enable_sleep_mode=true would do nothing: on a CPU vLLM does not sleep"
    return [Refusal(what, where=settings.where("args.vllm_enable_sleep_mode"), do="leave it out, or hardware=gpu")]


def _share_on_cpu(settings: TrainerSettings) -> list[Refusal]:
    field = "args.vllm_gpu_memory_utilization"
    if not settings.experiment.hardware["use_cpu"] or not settings.is_typed(field):
        return []
    what = f"{field} would do nothing: on a CPU the engine has VLLM_CPU_KVCACHE_SPACE GiB for keys and values"
    do = "leave it out (1 GiB), or set that variable before the command"
    return [Refusal(what, where=settings.where(field), do=do)]


def _heads(settings: TrainerSettings) -> list[Refusal]:
    """The attention of vLLM on a CPU has kernels for some sizes of a head only."""
    if not settings.experiment.hardware["use_cpu"]:
        return []
    model = settings.experiment.config["model"]
    size, known = engine_facts.head_size(model), engine_facts.head_sizes_on_cpu()
    if size is None or not known or size in known:
        return []
    return [
        Refusal(
            f"the heads of {model['path']} have {size} dimensions, and on a CPU vLLM has attention for "
            f"{', '.join(map(str, known))}",
            where=settings.where("model.path"),
            do="another model (smollm2_135m has 64), generation=transformers, or hardware=gpu",
        )
    ]


def _quantized(settings: TrainerSettings) -> list[Refusal]:
    quantization = settings.experiment.config["model"].get("quantization_config") or {}
    if not quantization.get("load_in_8bit"):
        return []
    what = "vLLM cannot sample from weights that are quantized to 8 bits while they are loaded"
    where = settings.where("model.quantization_config")
    return [Refusal(what, where=where, do="load_in_4bit, or generation=transformers")]


def _memory(settings: TrainerSettings) -> list[Refusal]:
    """An engine whose share of the device does not even hold the weights."""
    experiment = settings.experiment
    if experiment.hardware["use_cpu"] or experiment.runs_remotely:
        return []
    total, weights = detection.gpu_memory(), engine_facts.weights_bytes(experiment.config["model"])
    share, parts = settings.args["vllm_gpu_memory_utilization"], settings.args["vllm_tensor_parallel_size"] or 1
    if total is None or weights is None or share * total * parts > weights:
        return []
    return [
        Refusal(
            f"args.vllm_gpu_memory_utilization={share} of {total / 2**30:.0f} GiB gives the engine "
            f"{share * total / 2**30:.1f} GiB, and the weights alone have {weights / parts / 2**30:.1f}",
            where=settings.where("args.vllm_gpu_memory_utilization"),
            do="a larger share, a smaller model, or generation=vllm_server on a device of its own",
        )
    ]


def _own_server(settings: TrainerSettings) -> list[Refusal]:
    """Where there is room for the server that the run starts."""
    experiment = settings.experiment
    if not starts_server(experiment.config):
        return []
    devices, processes = server_devices(experiment.config), experiment.hardware["num_processes"]
    if experiment.hardware["use_cpu"] and devices > 1:
        what = f"generation.devices={devices} splits the server over GPUs, and this experiment has the CPU"
        return [Refusal(what, where=settings.where("generation.devices"), do="generation.devices=1")]
    if has_own_node(experiment.config):
        return _own_node(settings)
    if experiment.in_group or experiment.hardware["num_machines"] > 1:
        what = "a launcher has placed the processes of this run, and none of its devices is left for a server"
        do = (
            "generation.own_node=true, and one node more for it; or start a server by itself: VLLM_SERVER_DEV_MODE=1 "
            f"trl vllm-serve --model {experiment.config['model']['path']}; then generation.url=http://NODE:8000"
        )
        return [Refusal(what, where=settings.where("generation"), do=do)]
    present = detection.visible_gpus()
    if experiment.hardware["use_cpu"] or experiment.runs_remotely or devices + processes <= present:
        return []
    return [
        Refusal(
            f"{processes} for the training and {devices} for the server of vLLM need {processes + devices} GPUs, and "
            f"this machine shows {counted(present, 'GPU')}",
            where=settings.where("generation.devices"),
            do="generation=vllm shares the GPUs of the training; or generation.url=... of a server elsewhere",
        )
    ]


def _own_node(settings: TrainerSettings) -> list[Refusal]:
    """Whether something places the run on several machines; that there is one more is seen where they are counted."""
    experiment = settings.experiment
    if experiment.in_group or experiment.runs_remotely:
        return []
    machines, processes = (experiment.hardware[key] for key in ("num_machines", "num_processes"))
    return [
        Refusal(
            "generation.own_node=true gives the server a machine to itself, and this command starts processes on one",
            where=settings.where("generation.own_node"),
            do="type it with -m hydra/launcher=slurm, or "
            f"srun --nodes {machines + 1} --ntasks-per-node {processes} expctl ...; without own_node the server has "
            "GPUs of this machine",
        )
    ]


def _joined(settings: TrainerSettings) -> list[Refusal]:
    """A server that somebody else has started: it must answer, and serve this model."""
    experiment = settings.experiment
    url = joined_server(experiment.config)
    if url is None or experiment.runs_remotely:
        return []
    where = settings.where("generation.url")
    if not url.startswith(("http://", "https://")):
        return [Refusal(f"'generation.url' is {url}", where=where, do=f"with its scheme: http://{url}")]
    served = engine_facts.served_models(url)
    if isinstance(served, str):
        what = f"no server of vLLM answers at {url}: {served}"
        return [Refusal(what, where=where, do="start it first, or generation.url=null starts one with the run")]
    model = experiment.config["model"]
    if engine_facts.is_served(model, served):
        return []
    what = f"the server at {url} serves {', '.join(served) or 'no model'}, and this experiment trains {model['path']}"
    return [
        Refusal(what, where=where, do=f"trl vllm-serve --model {model['path']}, or model.path=... of what is served")
    ]
