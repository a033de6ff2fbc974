"""The keys of the root config and of the small groups that no `_target_` describes."""

from typing import Any

from expctl.base.data_kinds import COLUMNS
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest

NUMBER, TEXT, FLAG = (int,), (str,), (bool,)
OPTIONAL_TEXT = (str, type(None))

ROOT = {
    "algorithm": (dict,), "model": (dict,), "dataset": (dict,), "reward": (dict,), "hardware": (dict,),
    "peft": (dict, type(None)), "tracker": (dict,), "callbacks": (dict,), "args": (dict,),
    "seed": NUMBER, "name": OPTIONAL_TEXT, "force": FLAG,
}  # fmt: skip
GROUPS = {
    "algorithm": {"kind": TEXT, "objective": TEXT, "direction": TEXT, "trainer": (dict,)},
    "reward": {"functions": (dict,), "weights": (dict, type(None))},
    "hardware": {
        "use_cpu": FLAG, "num_processes": NUMBER, "num_machines": NUMBER, "bf16": FLAG, "fp16": FLAG,
        "sharding": (dict, type(None)), "threads": (int, type(None)),
        "hang_minutes": (int, float, type(None)),
    },
}  # fmt: skip
# Keys that an option of these groups need not have; without `on_error` it is "stop".
OPTIONAL = {"reward": {"on_error": TEXT}}
ON_ERROR = ("stop", "missing")
# The loader's own, and those of transformers' from_pretrained that change what is loaded.
MODEL = {
    "path": TEXT, "dtype": TEXT, "attn_implementation": OPTIONAL_TEXT, "revision": TEXT, "trust_remote_code": FLAG,
    "subfolder": TEXT, "quantization_config": (dict,), "variant": TEXT, "cache_dir": TEXT, "code_revision": TEXT,
}  # fmt: skip
TRACKER = {"report_to": TEXT, "project": OPTIONAL_TEXT, "mode": OPTIONAL_TEXT, "uri": OPTIONAL_TEXT}
# Fields of the trainer's arguments that expctl sets itself, and how a person says the same.
OURS = {
    "output_dir": "set EXPCTL_OUTPUTS to have runs elsewhere than in outputs/",
    "resume_from_checkpoint": "leave it out: the same command carries on from the last checkpoint by itself",
}
TRACKERS = ("none", "wandb", "tensorboard", "trackio", "mlflow")
HEADER = "let the file begin with '# @package _global_'"


def check_shape(experiment: Experiment) -> list[Refusal]:
    """Unknown, missing and mistyped keys of the root and of the groups without a `_target_`."""
    config, sources = experiment.config, experiment.sources
    found = _compare("", config, ROOT, sources)
    for group, keys in GROUPS.items():
        if isinstance(config.get(group), dict):
            optional = OPTIONAL.get(group, {})
            given = {key: kind for key, kind in optional.items() if key in config[group]}
            found += _compare(f"{group}.", config[group], keys | given, sources, known=[*keys, *optional])
    if found:
        return found
    for name in OURS.keys() & config["args"].keys():
        found.append(Refusal(f"'args.{name}' is expctl's own", where=set_by(f"args.{name}", sources), do=OURS[name]))
    model = {key: kind for key, kind in MODEL.items() if key == "path" or key in config["model"]}
    found += _compare("model.", config["model"], model, sources, known=list(MODEL))
    tracker = {key: kind for key, kind in TRACKER.items() if key == "report_to" or key in config["tracker"]}
    found += _compare("tracker.", config["tracker"], tracker, sources, known=list(TRACKER))
    for key, value, allowed in (
        ("algorithm.kind", config["algorithm"]["kind"], tuple(COLUMNS)),
        ("algorithm.direction", config["algorithm"]["direction"], ("maximize", "minimize")),
        ("tracker.report_to", config["tracker"].get("report_to"), TRACKERS),
        ("reward.on_error", config["reward"].get("on_error", "stop"), ON_ERROR),
    ):
        if value not in allowed:
            found.append(
                Refusal(
                    f"'{key}' is {value!r}; it can be {', '.join(allowed)}",
                    where=set_by(key, sources),
                    nearest=nearest(str(value), allowed),
                )
            )
    for key in ("hardware.num_processes", "hardware.num_machines"):
        if config["hardware"][key.split(".")[1]] < 1:
            found.append(Refusal(f"'{key}' must be at least 1", where=set_by(key, sources)))
    if (config["hardware"]["hang_minutes"] or 1) <= 0:
        key = "hardware.hang_minutes"
        found.append(Refusal(f"'{key}' must be above 0; null never looks", where=set_by(key, sources)))
    unknown = set(config["reward"]["weights"] or {}) - set(config["reward"]["functions"])
    for name in sorted(unknown):
        key = f"reward.weights.{name}"
        rewards = config["reward"]["functions"]
        found.append(Refusal(f"'{key}' weighs no reward", where=set_by(key, sources), nearest=nearest(name, rewards)))
    if config["seed"] < 0:
        found.append(Refusal(f"'seed' is {config['seed']}; it cannot be negative", where=set_by("seed", sources)))
    return found


def _compare(
    prefix: str, node: dict[str, Any], keys: dict[str, tuple], sources: dict[str, str], known: list[str] | None = None
) -> list[Refusal]:
    found = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        if name not in keys:
            found.append(
                Refusal(
                    f"no key '{key}'",
                    where=set_by(key, sources),
                    nearest=nearest(str(name), known or keys),
                    do=HEADER if key == "experiment" else "expctl --cfg job shows every key",
                )
            )
        elif not isinstance(value, keys[name]) or (isinstance(value, bool) and bool not in keys[name]):
            wanted = " or ".join(_called(kind) for kind in keys[name])
            found.append(Refusal(f"'{key}' is {value!r}; it must be {wanted}", where=set_by(key, sources)))
    for name in keys:
        if name not in node:
            found.append(Refusal(f"'{prefix}{name}' is missing", where=prefix.rstrip(".") or "the root config"))
    return found


def _called(kind: type) -> str:
    return {
        dict: "a mapping", list: "a list", str: "a text", int: "a whole number", float: "a number",
        bool: "true or false", type(None): "null",
    }[kind]  # fmt: skip
