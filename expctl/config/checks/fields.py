"""The `args` of an experiment against the config dataclass that `args._target_` names."""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
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

# From a dotted key to what set it, for the `where` of a refusal.
WhereSet = Callable[[str], str]


def check_fields(experiment: Experiment) -> list[Refusal]:
    """Refuse unknown fields, wrong types and values that are no option in the `args` of an experiment."""
    trainer = experiment.config["algorithm"]["trainer"].get("_target_")
    return check_args(experiment.config["args"], experiment.code_folders, trainer, experiment.set_by)


def check_args(
    args: dict[str, Any], search: Iterable[Path] = (), trainer: str | None = None, where_set: WhereSet = str
) -> list[Refusal]:
    """Refuse unknown fields, wrong types and values that are no option. A `_target_` that leads nowhere is left alone.

    Args:
        args: the resolved root key `args`, with `_target_`.
        search: folders of modules that are not installed.
        trainer: dotted path of the trainer; options that only its source names are taken as known.
        where_set: what set a dotted key, for the refusals.
    """
    target = args.get("_target_")
    if not isinstance(target, str):
        do = "set args._target_ to the config class of the trainer, for example trl.GRPOConfig"
        return [Refusal("args names no config class", where=where_set("args"), do=do)]
    config_class = find(target, search)
    if config_class is None:
        return []
    arguments = _Arguments(target, config_class, find(trainer, search), where_set)
    refusals = [arguments.refusal(name, value) for name, value in args.items() if name not in HYDRA_KEYS]
    return [refusal for refusal in refusals if refusal]


def check_value(field: Field, key: str, value: object, where_set: WhereSet = str) -> Refusal | None:
    """Refuse a value that fits neither the annotation of its field nor the type that the docstring gives."""
    annotation = field.annotation
    if (isinstance(value, dict) and "_target_" in value) or annotation is None or fits(field, value):
        return None
    options = choices(annotation, field.owner)
    if options and isinstance(value, str):
        return _not_among([str(option) for option in options], key, value, where_set)
    documented_types = [] if options else docstrings.types(field)
    if any(admits(kind, value, field.owner) for kind in documented_types) or docstrings.converts(field, value):
        return None
    kind = "null" if value is None else type(value).__name__
    what = f"{key} must be {ast.unparse(annotation)}, got {value!r} ({kind})"
    return Refusal(what, where=where_set(key), do=_advice(ast.unparse(annotation), options, key, value))


@dataclass(frozen=True)
class _Arguments:
    """What `args` is held against: its config class, and the trainer that reads it."""

    target: str
    config_class: Definition
    trainer: Definition | None
    where_set: WhereSet

    def refusal(self, name: str, value: object) -> Refusal | None:
        """What is wrong with one field."""
        key = f"args.{name}"
        takes = signature(self.config_class)
        field = takes.known.get(name)
        if field is None:
            return None if takes.accepts_any else self._unknown(name, key)
        if not field.init:
            what = f"{name!r} of {self.target} is computed, it cannot be set"
            return Refusal(what, where=self.where_set(key), do="leave it out")
        return check_value(field, key, value, self.where_set) or self._no_option(field, key, value)

    def _unknown(self, name: str, key: str) -> Refusal:
        close = nearest(name, signature(self.config_class).parameters)
        do = "expctl --cfg job shows every key that is set"
        if name in RENAMED:
            close, do = RENAMED[name]
        elif not close:
            classes = [owner.path for owner in self.config_class.lineage if signature(owner).fields]
            do = f"it has the fields of {', '.join(classes)}"
        return Refusal(f"no field {name!r} in {self.target}", where=self.where_set(key), nearest=close, do=do)

    def _no_option(self, field: Field, key: str, value: object) -> Refusal | None:
        """Refuse a string that the docstring does not list and no source of the algorithm names."""
        items = value if isinstance(value, list) else [value]
        strings = [item for item in items if isinstance(item, str)]
        options = docstrings.options(field) if strings else []
        for string in strings:
            if options and string not in options and not self._is_named(string, field.owner):
                return _not_among(options, key, string, self.where_set)
        return None

    def _is_named(self, option: str, owner: Definition) -> bool:
        """Whether the config class's file, that of TRL's trainer beside it, or those of the trainer name the option."""
        files = {owner.file, owner.file.with_name(owner.file.name.replace("_config", "_trainer"))}
        if self.trainer:
            files |= {ancestor.file for ancestor in self.trainer.lineage}
        texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
        return any(f'"{option}"' in text or f"'{option}'" in text for text in texts)


def _not_among(options: list[str], key: str, value: str, where_set: WhereSet) -> Refusal:
    return Refusal(
        f"{value!r} is no option of {key}",
        where=where_set(key),
        nearest=nearest(value, options),
        do=f"one of {_listed(options)}",
    )


def _listed(options: list[str]) -> str:
    """Options in one line; of a long list only the beginning."""
    return ", ".join(options if len(options) <= 16 else [*options[:12], f"and {len(options) - 12} more"])


def _advice(annotation: str, options: list[object], key: str, value: object) -> str:
    """What to type instead."""
    word = "yes" if value is True else "no"
    if isinstance(value, bool) and word in options:
        return f'write "{word}" in quotes: YAML reads a bare {word} as {str(value).lower()}'
    if options:
        return f"one of {_listed([str(option) for option in options])}"
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, str) and _is_number(value):
        return f"write {value} without quotes"
    if isinstance(value, int | float) and annotation in ("str", "str | None", "Optional[str]"):
        return f"quote it: \"{key}='{value}'\""
    return f"give it as {annotation}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
