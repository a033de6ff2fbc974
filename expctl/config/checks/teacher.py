"""The teacher of a distillation: that it is there, predicts tokens, and has the student's vocabulary."""

import json
import re
from pathlib import Path
from typing import Any

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at, mapping, sequence
from expctl.base.refusal import Refusal
from expctl.models.files import check_files, config_of
from expctl.models.locations import folder_of
from expctl.models.reward_head import CLASSIFIER

KEY = "teacher"
LOADER = "expctl.models.teacher.load"
KEYWORD = "teacher_model"


def check_teacher(experiment: Experiment) -> list[Refusal]:
    """Refuse a teacher that is not there or cannot teach this student, and one that nothing asks."""
    node = mapping(experiment.config["algorithm"]["trainer"].get(KEYWORD))
    typed = [key for key in experiment.sources if key == KEY or key.startswith(f"{KEY}.")]
    if node.get("_target_") != LOADER:
        return [_unread(experiment, typed[0])] if typed and not node else []
    path = str(node.get("path"))
    try:
        location = models.resolve(path, revision=node.get("revision") or "main")
        if location.kind == "folder":
            check_files(Path(location.source))
    except (FileNotFoundError, ValueError) as error:
        message = re.sub(r"\bmodel(\.path)?=", rf"{KEY}\1=", str(error))
        return [Refusal(message, where=experiment.set_by(f"{KEY}.path"))]
    if location.kind == "hub":
        return []
    return _check_pair(experiment, path, Path(location.source))


def _unread(experiment: Experiment, key: str) -> Refusal:
    return Refusal(
        f"'{key}' would do nothing: algorithm={experiment.choices.get('algorithm')} has no teacher",
        where=experiment.set_by(key),
        do="algorithm=distillation, gkd, gold or iw_opd; or leave it out",
    )


def _check_pair(experiment: Experiment, path: str, folder: Path) -> list[Refusal]:
    """The teacher against the student, as far as their files are here."""
    where = experiment.set_by(KEY, f"{KEY}.path")
    architectures = [str(name) for name in sequence(config_of(folder).get("architectures"))]
    if any(name.endswith(CLASSIFIER) for name in architectures):
        what = f"{KEY}.path={path} is a classifier ({architectures[0]}), which predicts no tokens"
        return [Refusal(what, where=where, do="give a language model")]
    student = folder_of(experiment.config["model"])
    if student is None or experiment.config["args"].get("use_uld_loss"):
        return []
    difference, model = _difference(student, folder), experiment.config["model"]["path"]
    if not difference:
        return []
    return [
        Refusal(
            f"{KEY}.path={path} has another vocabulary than the student, {model}: {difference}",
            where=where,
            do="a teacher of the same family: teacher=local teacher.path=<folder or hub id>; or algorithm=gold "
            "args.use_uld_loss=true, which compares other tokenizers by the text",
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
