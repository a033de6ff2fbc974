"""A second model beside the one that is trained, a teacher or a reference: its files, its head, its vocabulary."""

import json
import re
from pathlib import Path
from typing import Any

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at, mapping, sequence
from expctl.base.refusal import Refusal
from expctl.config.checks.trainer_parts import takes
from expctl.models.files import check_files, config_of
from expctl.models.locations import folder_of
from expctl.models.reward_head import CLASSIFIER

LOADER = "expctl.models.teacher.load"
# Group -> the keyword of the trainer that takes its model.
TEACHER, REFERENCE = "teacher", "reference"
KEYWORDS = {TEACHER: "teacher_model", REFERENCE: "ref_model"}
# Group -> what the model that is trained is to its model.
_MODEL = {TEACHER: "student", REFERENCE: "policy"}


def check_teacher(experiment: Experiment) -> list[Refusal]:
    """Refuse a teacher that is not there or cannot teach this student, and one that nothing asks."""
    return _check(experiment, TEACHER)


def check_reference(experiment: Experiment) -> list[Refusal]:
    """Refuse a reference that is not there, or that reads other tokens than the policy."""
    return _check(experiment, REFERENCE)


def check_takes_reference(experiment: Experiment) -> list[Refusal]:
    """Refuse a reference for an algorithm that takes none."""
    keyword = KEYWORDS[REFERENCE]
    if keyword not in experiment.config["algorithm"]["trainer"] or takes(experiment, keyword):
        return []
    algorithm = experiment.choices.get("algorithm")
    return [
        Refusal(
            f"algorithm={algorithm} takes no reference of its own: it has none, or the model that training starts from",
            where=experiment.set_by(REFERENCE, "reference.path"),
            do="algorithm=dpo, one of its variants, kto or online_dpo; or leave it out",
        )
    ]


def _check(experiment: Experiment, group: str) -> list[Refusal]:
    node = mapping(experiment.config["algorithm"]["trainer"].get(KEYWORDS[group]))
    typed = [key for key in experiment.sources if key == group or key.startswith(f"{group}.")]
    if node.get("_target_") != LOADER:
        return [_unread(experiment, typed[0])] if typed and not node else []
    path = str(node.get("path"))
    try:
        location = models.resolve(path, revision=node.get("revision") or "main")
        if location.kind == "folder":
            check_files(Path(location.source))
    except (FileNotFoundError, ValueError) as error:
        message = re.sub(r"\bmodel(\.path)?=", rf"{group}\1=", str(error))
        return [Refusal(message, where=experiment.set_by(f"{group}.path"))]
    if location.kind == "hub":
        return []
    return _check_pair(experiment, group, path, Path(location.source))


def _unread(experiment: Experiment, key: str) -> Refusal:
    return Refusal(
        f"'{key}' would do nothing: algorithm={experiment.choices.get('algorithm')} has no teacher",
        where=experiment.set_by(key),
        do="algorithm=distillation, gkd, gold or iw_opd; or leave it out",
    )


def _check_pair(experiment: Experiment, group: str, path: str, folder: Path) -> list[Refusal]:
    """The second model against the one that is trained, as far as their files are here."""
    where = experiment.set_by(group, f"{group}.path")
    architectures = [str(name) for name in sequence(config_of(folder).get("architectures"))]
    if any(name.endswith(CLASSIFIER) for name in architectures):
        what = f"{group}.path={path} is a classifier ({architectures[0]}), which predicts no tokens"
        return [Refusal(what, where=where, do="give a language model")]
    student = folder_of(experiment.config["model"])
    if student is None or experiment.config["args"].get("use_uld_loss"):
        return []
    difference, model = _difference(student, folder), experiment.config["model"]["path"]
    if not difference:
        return []
    other = "; or algorithm=gold args.use_uld_loss=true, which compares other tokenizers by the text"
    return [
        Refusal(
            f"{group}.path={path} has another vocabulary than the {_MODEL[group]}, {model}: {difference}",
            where=where,
            do=f"a {group} of the same family: {group}=local {group}.path=<folder or hub id>"
            + (other if group == TEACHER else ""),
        )
    ]


def _difference(student: Path, teacher: Path) -> str:
    """In which number or token two vocabularies differ; empty where they do not, as far as their files tell."""
    sizes = [_size(config_of(folder)) for folder in (teacher, student)]
    if None not in sizes and sizes[0] != sizes[1]:
        return f"{sizes[0]} tokens against {sizes[1]}"
    files = [folder / "tokenizer.json" for folder in (teacher, student)]
    if not all(file.is_file() for file in files) or files[0].read_bytes() == files[1].read_bytes():
        return ""
    theirs, ours = map(_vocabulary, files)
    changed = next((token for token, number in theirs.items() if ours.get(token) != number), None)
    return "" if changed is None else f"its token {theirs[changed]} is {changed!r}, which has another number here"


def _size(config: dict[str, Any]) -> Any:
    return at(config, "text_config", "vocab_size") or config.get("vocab_size")


def _vocabulary(file: Path) -> dict[str, int]:
    vocabulary = at(json.loads(file.read_text(encoding="utf-8")), "model", "vocab")
    return vocabulary if isinstance(vocabulary, dict) else {}
