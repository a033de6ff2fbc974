"""The keys of the root config and of the small groups that no `_target_` describes."""

from typing import Any

from expctl.base.data_kinds import COLUMNS
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest

Types = tuple[type, ...]
NUMBER, TEXT, FLAG, MAPPING = (int,), (str,), (bool,), (dict,)
OPTIONAL_TEXT, OPTIONAL_MAPPING = (str, type(None)), (dict, type(None))

ROOT: dict[str, Types] = {
    "algorithm": MAPPING,
    "model": MAPPING,
    "dataset": MAPPING,
    "reward": MAPPING,
    "hardware": MAPPING,
    "peft": OPTIONAL_MAPPING,
    "tracker": MAPPING,
    "callbacks": MAPPING,
    "args": MAPPING,
    "seed": NUMBER,
    "name": OPTIONAL_TEXT,
    "force": FLAG,
}
GROUPS: dict[str, dict[str, Types]] = {
    "algorithm": {"kind": TEXT, "objective": TEXT, "direction": TEXT, "trainer": MAPPING},
    "reward": {"functions": MAPPING, "weights": OPTIONAL_MAPPING},
    "hardware": {
        "use_cpu": FLAG,
        "num_processes": NUMBER,
        "num_machines": NUMBER,
        "bf16": FLAG,
        "fp16": FLAG,
        "sharding": OPTIONAL_MAPPING,
        "threads": (int, type(None)),
        "hang_minutes": (int, float, type(None)),
    },
}
# Keys that the root and an option of these groups need not have; without `on_error` it is "stop".
OPTIONAL: dict[str, dict[str, Types]] = {
    "": {"prompts_per_step": NUMBER, "generation": MAPPING},
    "reward": {
        "on_error": TEXT,
        "time_limit": OPTIONAL_MAPPING,
        "retries": OPTIONAL_MAPPING,
        "gates": OPTIONAL_MAPPING,
    },
    "algorithm": {"trains": FLAG, "task_type": TEXT},
    "hardware": {"memory_gib": (int, float), "sampled_rows": NUMBER},
}
# The loader's own, and those of transformers' from_pretrained that change what is loaded.
MODEL: dict[str, Types] = {
    "path": TEXT,
    "run": TEXT,
    "dtype": TEXT,
    "attn_implementation": OPTIONAL_TEXT,
    "revision": TEXT,
    "thinking": FLAG,
    "trust_remote_code": FLAG,
    "subfolder": TEXT,
    "quantization_config": MAPPING,
    "variant": TEXT,
    "cache_dir": TEXT,
    "code_revision": TEXT,
}
TRACKER: dict[str, Types] = {
    "report_to": TEXT,
    "project": OPTIONAL_TEXT,
    "mode": OPTIONAL_TEXT,
    "uri": OPTIONAL_TEXT,
}
# Keys with a fixed set of values.
OPTIONS: dict[str, tuple[str, ...]] = {
    "algorithm.kind": tuple(COLUMNS),
    "algorithm.task_type": ("CAUSAL_LM", "SEQ_CLS"),
    "algorithm.direction": ("maximize", "minimize"),
    "tracker.report_to": ("none", "wandb", "tensorboard", "trackio", "mlflow"),
    "reward.on_error": ("stop", "missing"),
}
# Fields of the trainer's arguments that expctl sets itself, and how a person says the same.
OURS = {
    "output_dir": "set EXPCTL_OUTPUTS to have runs elsewhere than in outputs/",
    "resume_from_checkpoint": "leave it out: the same command carries on from the last checkpoint by itself",
}
HEADER = "let the file begin with '# @package _global_'"
TYPE_NAMES: dict[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def check_schema(experiment: Experiment) -> list[Refusal]:
    """Refuse unknown, missing and mistyped keys of the root and of the groups without a `_target_`."""
    config = experiment.config
    refusals = compare(experiment, "", config, ROOT, OPTIONAL[""])
    for group, keys in GROUPS.items():
        if isinstance(config.get(group), dict):
            refusals += compare(experiment, group, config[group], keys, OPTIONAL.get(group, {}))
    if refusals:
        return refusals
    refusals += _check_ours(experiment)
    refusals += compare(experiment, "model", config["model"], {"path": TEXT}, MODEL)
    refusals += compare(experiment, "tracker", config["tracker"], {"report_to": TEXT}, TRACKER)
    return refusals + _check_built(experiment) + _check_options(experiment) + _check_numbers(experiment)


def _check_built(experiment: Experiment) -> list[Refusal]:
    """Refuse a reward function or a callback that nothing could be built from: each names a class or a function."""
    config, refusals = experiment.config, []
    for group, nodes in (("reward.functions", config["reward"].get("functions")), ("callbacks", config["callbacks"])):
        for name, node in mapping(nodes).items():
            key = f"{group}.{name}"
            if not isinstance(node, dict) or "_target_" not in node:
                what = f"'{key}' is {'null' if node is None else node}, which names no class or function"
                do = f"{key}._target_=my_module.mine, or ~{key} to take it away"
                refusals.append(Refusal(what, where=experiment.set_by(key), do=do))
    return refusals


def compare(
    experiment: Experiment, group: str, node: dict[str, Any], required: dict[str, Types], optional: dict[str, Types]
) -> list[Refusal]:
    """Refuse the keys of a node that are unknown or of another type, and those that are missing."""
    refusals = []
    prefix = f"{group}." if group else ""
    known = required | optional
    for name, value in node.items():
        key = f"{prefix}{name}"
        if name not in known:
            do = HEADER if key == "experiment" else "expctl --cfg job shows every key"
            close = nearest(str(name), known)
            refusals.append(Refusal(f"no key '{key}'", where=experiment.set_by(key), nearest=close, do=do))
        elif not _is_one_of(value, known[name]):
            wanted = " or ".join(TYPE_NAMES[kind] for kind in known[name])
            refusals.append(Refusal(f"'{key}' is {value!r}; it must be {wanted}", where=experiment.set_by(key)))
    missing = [name for name in required if name not in node]
    refusals += [Refusal(f"'{prefix}{name}' is missing", where=group or "the root config") for name in missing]
    return refusals


def _is_one_of(value: object, types: Types) -> bool:
    """Whether a value has one of the types; a flag is no number."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _check_ours(experiment: Experiment) -> list[Refusal]:
    typed = [name for name in OURS if name in experiment.config["args"]]
    return [
        Refusal(f"'args.{name}' is expctl's own", where=experiment.set_by(f"args.{name}"), do=OURS[name])
        for name in typed
    ]


def _check_options(experiment: Experiment) -> list[Refusal]:
    refusals = []
    for key, options in OPTIONS.items():
        group, name = key.split(".")
        value = experiment.config[group].get(name, options[0])
        if value not in options:
            what = f"'{key}' is {value!r}; it can be {', '.join(options)}"
            refusals.append(Refusal(what, where=experiment.set_by(key), nearest=nearest(str(value), options)))
    return refusals


def _check_numbers(experiment: Experiment) -> list[Refusal]:
    hardware, seed = experiment.hardware, experiment.config["seed"]
    faults = {
        f"hardware.{name}": f"'hardware.{name}' is {hardware[name]}; it must be at least 1"
        for name in ("num_processes", "num_machines")
        if hardware[name] < 1
    }
    if (hardware["hang_minutes"] or 1) <= 0:
        faults["hardware.hang_minutes"] = "'hardware.hang_minutes' must be above 0; null never looks"
    if (hardware["threads"] if hardware["threads"] is not None else 1) < 1:
        what = f"'hardware.threads' is {hardware['threads']}; it must be at least 1, or null to share the cores out"
        faults["hardware.threads"] = what
    if hardware.get("memory_gib", 1) <= 0:
        faults["hardware.memory_gib"] = "'hardware.memory_gib' must be above 0; null asks the device"
    if seed < 0:
        faults["seed"] = f"'seed' is {seed}; it cannot be negative"
    return [Refusal(what, where=experiment.set_by(key)) for key, what in faults.items()]
