"""A file of stages: a name and the words of a command for each, which may start from the stages before it.

    sft: algorithm=sft args.max_steps=40
    gfpo: algorithm=gfpo model=run:sft@best

A stage whose words name no model starts from the one before it.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.base.words import key_of
from expctl.config.hydra_literal import literal
from expctl.runs.handed_on import BEST

FORM = "a name and its words in each line: 'sft: algorithm=sft', 'gfpo: algorithm=gfpo model=run:sft@best'"
_NAME = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True)
class Stage:
    """One stage: its name, and the words of its command."""

    name: str
    words: tuple[str, ...]

    @property
    def starts_from(self) -> str | None:
        """The value of its word `model=run:...`; None where it has none."""
        given = [word.partition("=")[2] for word in self.words if key_of(word) == "model"]
        return given[-1] if given and given[-1].startswith("run:") else None


def read_stages(path: Path, typed: Sequence[str]) -> list[Stage]:
    """The stages of a file, in its order.

    Args:
        path: of the file.
        typed: words that hold for every stage, or behind a stage's name and a colon for that one (`sft:seed=1`). A
            model is only the first stage's.

    Raises:
        Refusal: there is no such file, it is no file of stages, or a word is for a stage that it does not have.
    """
    where = f"{path} (command line)"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"the stages cannot be read: {error.strerror}", where=where) from error
    except (ValueError, yaml.YAMLError) as error:
        raise Refusal(f"not valid YAML: {' '.join(str(error).split())[:200]}", where=where, do=FORM) from error
    if not isinstance(content, dict) or not content:
        raise Refusal("the file holds no stages", where=where, do=FORM)
    stages: list[Stage] = []
    for name, words in content.items():
        stages.append(_with_model(_stage(name, words, where), stages))
    return _with_typed(stages, typed)


def _stage(name: Any, words: Any, where: str) -> Stage:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(f"{name!r} is no name of a stage", where=where, do="letters, digits and _")
    try:
        split = shlex.split(words) if isinstance(words, str) else words
    except ValueError as error:
        raise Refusal(f"the words of the stage '{name}' cannot be read: {error}", where=where, do=FORM) from error
    if not isinstance(split, list) or not all(isinstance(word, str) for word in split):
        raise Refusal(f"the stage '{name}' has no words", where=where, do=FORM)
    return Stage(name, tuple(split))


def _with_model(stage: Stage, before: Sequence[Stage]) -> Stage:
    """A stage that names no model starts from the one before it."""
    has_model = any(
        key_of(word) in ("model", "experiment") or key_of(word).startswith("model.") for word in stage.words
    )
    if has_model or not before:
        return stage
    return replace(stage, words=(*stage.words, f"model=run:{before[-1].name}"))


def _with_typed(stages: list[Stage], typed: Sequence[str]) -> list[Stage]:
    names = [stage.name for stage in stages]
    added: dict[str, list[str]] = {name: [] for name in names}
    for word in typed:
        own = re.match(rf"({_NAME.pattern}):(?=[\w+~.@/]+=)", word)
        if own and own[1] not in added:
            raise Refusal(
                f"there is no stage '{own[1]}'; the file has {', '.join(names)}",
                where=f"{word} (command line)",
                nearest=[f"{near}:{word[own.end() :]}" for near in nearest(own[1], names)],
            )
        of_model = key_of(word) == "model" or key_of(word).startswith("model.")
        if own:
            added[own[1]].append(word[own.end() :])
            continue
        for name in names[:1] if of_model else names:
            added[name].append(word)
    return [_laid_over(stage, added[stage.name]) for stage in stages]


def _laid_over(stage: Stage, typed: Sequence[str]) -> Stage:
    """A typed word takes the place of the file's word for the same key."""
    keys = set(map(key_of, typed))
    return replace(stage, words=(*(word for word in stage.words if key_of(word) not in keys), *typed))


def with_runs(stage: Stage, runs: Mapping[str, str]) -> Stage:
    """The stage with earlier stages' names in `model=run:NAME` replaced by the ids of their runs."""

    def put_in(word: str) -> str:
        if key_of(word) != "model":
            return word
        return re.sub(r"run:([^@,\s]+)", lambda found: f"run:{runs.get(found[1], found[1])}", word)

    return replace(stage, words=tuple(map(put_in, stage.words)))


def named_stage(stage: Stage, names: Sequence[str]) -> str | None:
    """The earlier stage that a stage starts from; None where it starts from none of these."""
    given = (stage.starts_from or "").removeprefix("run:").partition("@")[0]
    return given if given in names else None


def with_stand_in(stage: Stage, earlier: Experiment) -> Stage:
    """The stage as it can be checked before the earlier one has run: with the model that this starts from itself."""
    model = mapping(earlier.config["model"])
    words = [f"model=run:{model['run']}"] if model.get("run") else [f"model={earlier.choices['model']}"]
    if not model.get("run"):
        words += [f"++model.{name}={literal(value)}" for name, value in model.items()]
    return replace(stage, words=(*(word for word in stage.words if key_of(word) != "model"), *words))


def unreachable(stage: Stage, earlier: Experiment, name: str) -> Refusal | None:
    """Why the earlier stage will not have the weights that a stage asks for; None where it can have them."""
    which = (stage.starts_from or "").partition("@")[2]
    args, where = earlier.config["args"], f"model={stage.starts_from} (stage {stage.name})"
    if which == BEST and not args.get("do_eval"):
        what = f"the stage '{name}' is never evaluated, so it has no best checkpoint"
        return Refusal(what, where=where, do=f"model=run:{name}, or {name}:args.do_eval=true")
    step, most = which.removeprefix("checkpoint-"), args.get("max_steps")
    if step.isdecimal() and isinstance(most, int) and 0 < most < int(step):
        return Refusal(f"the stage '{name}' takes {most} steps, so it has no {which}", where=where)
    return None
