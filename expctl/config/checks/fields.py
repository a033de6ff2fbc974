"""The `args` of an experiment against the config dataclass that `args._target_` names."""

import ast
from collections.abc import Iterable
from pathlib import Path

from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest
from expctl.config.source import docstrings
from expctl.config.source.annotation import admits, choices, fits
from expctl.config.source.lookup import Definition, find
from expctl.config.source.signature import Field, signature

# Fields that earlier versions of transformers and TRL had -> what says the same today.
RENAMED = {
    "warmup_ratio": (["warmup_steps"], "args.warmup_steps takes a share as well: 0.1 is a tenth of all steps"),
    "evaluation_strategy": (["eval_strategy"], "args.eval_strategy=steps or epoch"),
    "no_cuda": (["use_cpu"], "hardware=cpu"),
    "max_prompt_length": ([], "TRL no longer cuts prompts: filter long ones out of the data"),
    "max_seq_length": (["max_length"], "args.max_length, in tokens"),
    "per_gpu_train_batch_size": (["per_device_train_batch_size"], "args.per_device_train_batch_size, in rows"),
    "logging_dir": ([], "tracker=tensorboard writes into the run directory"),
    "overwrite_output_dir": ([], "force=true begins the experiment again"),
}
HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_args_", "_recursive_")


def check_fields(
    args: dict, sources: dict[str, str] | None = None, search: Iterable[Path] = (), trainer: str | None = None
) -> list[Refusal]:
    """What is wrong with `args`: unknown fields, wrong types, values that are no option.

    Args:
        args: the resolved root key `args`, with `_target_`.
        sources: dotted key -> how it was set, for the refusals.
        search: folders of modules that are not installed.
        trainer: dotted path of the trainer; options that only its source names are taken as known.

    A `_target_` that cannot be found is left to `check_targets`.
    """
    if not isinstance(args.get("_target_"), str):
        do = "set args._target_ to the config class of the trainer, for example trl.GRPOConfig"
        return [Refusal("args names no config class", where=set_by("args", sources or {}), do=do)]
    definition = find(args["_target_"], search)
    if definition is None:
        return []
    takes = signature(definition)
    known_by = find(trainer, search) if trainer else None
    refusals = []
    for name, value in args.items():
        if name in HYDRA_KEYS:
            continue
        key = f"args.{name}"
        field = takes.known.get(name)
        if field is None:
            refusals += [] if takes.accepts_any else [_unknown(name, key, args["_target_"], definition, sources)]
        elif not field.init:
            what = f"{name!r} of {args['_target_']} is computed, it cannot be set"
            refusals.append(Refusal(what, where=set_by(key, sources or {}), do="leave it out"))
        elif refusal := check_value(field, key, value, sources) or _no_option(field, key, value, sources, known_by):
            refusals.append(refusal)
    return refusals


def check_value(field: Field, key: str, value, sources: dict[str, str] | None = None) -> Refusal | None:
    """Refuse a value that fits neither the annotation of its field nor the type that the docstring gives."""
    if isinstance(value, dict) and "_target_" in value or fits(field, value):
        return None
    options = choices(field.annotation, field.owner)
    if options and isinstance(value, str):
        return _not_among(options, key, value, sources)
    documented_types = () if options else docstrings.types(field)
    if any(admits(kind, value, field.owner) for kind in documented_types) or docstrings.converts(field, value):
        return None
    kind = "null" if value is None else type(value).__name__
    what = f"{key} must be {ast.unparse(field.annotation)}, got {value!r} ({kind})"
    return Refusal(what, where=set_by(key, sources or {}), do=_advice(field, key, value))


def _unknown(name: str, key: str, target: str, definition: Definition, sources: dict | None) -> Refusal:
    close = nearest(name, signature(definition).parameters)
    do = "expctl --cfg job shows every key that is set"
    if name in RENAMED:
        close, do = RENAMED[name]
    elif not close:
        classes = ", ".join(owner.path for owner in definition.lineage if signature(owner).fields)
        do = f"it has the fields of {classes}"
    return Refusal(f"no field {name!r} in {target}", where=set_by(key, sources or {}), nearest=close, do=do)


def _no_option(field: Field, key: str, value, sources: dict | None, trainer: Definition | None) -> Refusal | None:
    """Refuse a string that the docstring does not list and no source of the algorithm names."""
    given = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    options = docstrings.options(field) if given else []
    for item in given:
        if options and item not in options and not _named(item, field.owner, trainer):
            return _not_among(options, key, item, sources)
    return None


def _named(option: str, owner: Definition, trainer: Definition | None) -> bool:
    """Whether the file of the config class, of TRL's trainer beside it, or of the trainer in use names the option."""
    files = {owner.file, owner.file.with_name(owner.file.name.replace("_config", "_trainer"))}
    if trainer:
        files |= {ancestor.file for ancestor in trainer.lineage}
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return any(f'"{option}"' in text or f"'{option}'" in text for text in texts)


def _not_among(options: list, key: str, value, sources: dict | None) -> Refusal:
    strings = [str(option) for option in options]
    return Refusal(
        f"{value!r} is no option of {key}",
        where=set_by(key, sources or {}),
        nearest=nearest(str(value), strings),
        do=f"one of {_listed(strings)}",
    )


def _listed(options: list[str]) -> str:
    """Options in one line; of a long list only the beginning."""
    return ", ".join(options if len(options) <= 16 else [*options[:12], f"and {len(options) - 12} more"])


def _advice(field: Field, key: str, value) -> str:
    """What to type instead."""
    options = choices(field.annotation, field.owner)
    word = "yes" if value is True else "no"
    if isinstance(value, bool) and word in options:
        return f'write "{word}" in quotes: YAML reads a bare {word} as {str(value).lower()}'
    if options:
        return f"one of {_listed([str(option) for option in options])}"
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, str) and _is_number(value):
        return f"write {value} without quotes"
    if isinstance(value, int | float) and ast.unparse(field.annotation) in ("str", "str | None", "Optional[str]"):
        return f"quote it: \"{key}='{value}'\""
    return f"give it as {ast.unparse(field.annotation)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
