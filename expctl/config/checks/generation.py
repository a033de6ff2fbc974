"""The group `generation` against the trainer and against what was typed beside it."""

from typing import Any

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.engine import COLOCATED, SERVER, engine_settings, vllm_mode
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.checks.schema import Types, compare
from expctl.config.checks.settings import TrainerSettings
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature

# Option -> the field of the trainer's arguments that switches its engine on.
SWITCHES = {
    "compact": "num_generations",
    "paged": "use_transformers_continuous_batching",
    "vllm": "use_vllm",
    "vllm_server": "use_vllm",
}
MODES = {"vllm": COLOCATED, "vllm_server": SERVER}
COMPACT_KEYS: dict[str, Types] = {"compact": (bool,)}
# Fields of `args` by which something else samples than the loop from which rows leave, and what they are without it.
OTHER_LOOPS = {
    "use_vllm": (False, None),
    "use_transformers_continuous_batching": (False, None),
    "cache_implementation": (None, "dynamic"),
}
DTYPES = ("auto", "float32", "bfloat16", "float16")
COLOCATED_KEYS: dict[str, Types] = {"dtype": (str,), "enforce_eager": (bool, type(None))}
SERVER_KEYS: dict[str, Types] = {
    "url": (str, type(None)),
    "devices": (int,),
    "own_node": (bool,),
    "timeout": (int, float),
    "dtype": (str,),
    "enforce_eager": (bool, type(None)),
}
# Fields of `args` in whose place the group has a key, since the run's own server has an address that the run chooses.
OF_THE_SERVER = ("vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_group_port")


def check_generation(experiment: Experiment) -> list[Refusal]:
    """Refuse an engine that the trainer has no use for, and settings of the group that contradict what was typed."""
    option = experiment.choices.get("generation", "transformers")
    if option in SWITCHES and not _has_field(experiment, SWITCHES[option]):
        return [_not_sampling(experiment, option)]
    settings = engine_settings(experiment.config)
    if option in MODES and vllm_mode(experiment.config) != MODES[option]:
        args = experiment.config["args"]
        key = "args.vllm_mode" if args.get("use_vllm") else "args.use_vllm"
        what = f"generation={option} and {key}={str(args.get(key.partition('.')[2])).lower()} contradict each other"
        return [Refusal(what, where=experiment.set_by(key), do="type one of them")]
    if not settings:
        return []
    if option == "compact":
        return compare(experiment, "generation", settings, COMPACT_KEYS, {}) or _compact(experiment)
    is_server = vllm_mode(experiment.config) == SERVER
    refusals = compare(experiment, "generation", settings, SERVER_KEYS if is_server else COLOCATED_KEYS, {})
    return refusals or _values(experiment, settings) + (_of_the_server(experiment, settings) if is_server else [])


def _compact(experiment: Experiment) -> list[Refusal]:
    """What keeps rows from leaving the batch."""
    args, hardware = experiment.config["args"], experiment.hardware
    others = [name for name, allowed in OTHER_LOOPS.items() if args.get(name) not in allowed]
    if others:
        what = f"generation=compact and args.{others[0]}={str(args[others[0]]).lower()} contradict each other"
        return [Refusal(what, where=experiment.set_by(f"args.{others[0]}"), do="type one of them")]
    if hardware["sharding"] and hardware["num_processes"] * hardware["num_machines"] > 1:
        what = "rows cannot leave a batch where each process holds a part of the model: all must step together"
        do = "generation=transformers, or generation=vllm"
        return [Refusal(what, where=experiment.set_by("generation", "hardware.sharding"), do=do)]
    return []


def _has_field(experiment: Experiment, name: str) -> bool:
    """Whether the class of `args` has a field; one that cannot be found is left to the check of the fields."""
    definition = find(experiment.config["args"].get("_target_"), experiment.code_folders)
    if definition is None:
        return True
    found = signature(definition)
    return name in found.known or found.accepts_any


def _not_sampling(experiment: Experiment, option: str) -> Refusal:
    algorithm, config = experiment.choices.get("algorithm"), experiment.config
    samples = "samples with transformers" if config["algorithm"]["kind"] == PROMPT_ONLY else "samples none"
    return Refusal(
        f"generation={option} samples completions in the training, and algorithm={algorithm} {samples} "
        f"({config['args'].get('_target_')} has no field {SWITCHES[option]})",
        where=experiment.set_by("generation"),
        do="leave generation out, or an algorithm that samples: gfpo, grpo, gspo, gspo_token, grpo_replay",
    )


def _values(experiment: Experiment, settings: dict[str, Any]) -> list[Refusal]:
    refusals = []
    dtype = settings["dtype"]
    if dtype not in DTYPES:
        what = f"'generation.dtype' is {dtype!r}; it can be {', '.join(DTYPES)}"
        where = experiment.set_by("generation.dtype")
        refusals.append(Refusal(what, where=where, nearest=nearest(dtype, DTYPES)))
    for key, least in (("devices", 1), ("timeout", 0)):
        if key in settings and settings[key] < least:
            what = f"'generation.{key}' is {settings[key]}; it must be at least {least}"
            refusals.append(Refusal(what, where=experiment.set_by(f"generation.{key}")))
    return refusals


def _of_the_server(experiment: Experiment, settings: dict[str, Any]) -> list[Refusal]:
    """Addresses typed in `args`, and settings of a server that is not started here."""
    typed = TrainerSettings(experiment)
    refusals = [
        Refusal(
            f"'args.{name}' follows from generation=vllm_server, whose runs choose ports that are free",
            where=typed.where(f"args.{name}"),
            do="generation.url=http://HOST:PORT joins a server that runs",
        )
        for name in OF_THE_SERVER
        if typed.is_typed(f"args.{name}")
    ]
    started = ("generation.devices", "generation.own_node", "generation.dtype", "generation.enforce_eager")
    fields = ("args.vllm_gpu_memory_utilization", "args.vllm_max_model_length", "args.vllm_tensor_parallel_size")
    void = [key for key in (*started, *fields) if settings["url"] and typed.is_typed(key)]
    refusals += [
        Refusal(
            f"{key} would do nothing: generation.url names a server that somebody else has started",
            where=typed.where(key),
            do="start that server with it, or leave it out",
        )
        for key in void
    ]
    if typed.is_typed("args.vllm_tensor_parallel_size") and not settings["url"]:
        what = "'args.vllm_tensor_parallel_size' is for an engine in the training process"
        do = "generation.devices=N splits the model of the server over N GPUs"
        refusals.append(Refusal(what, where=typed.where("args.vllm_tensor_parallel_size"), do=do))
    return refusals
