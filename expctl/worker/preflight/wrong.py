"""What a library says is wrong, in the words of the config: which key, and what to do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 400
# Types whose names say nothing that their messages do not.
PLAIN = (
    "AssertionError",
    "Excluded",
    "FileNotFoundError",
    "ImportError",
    "RewardError",
    "RuntimeError",
    "ValueError",
)


@dataclass(frozen=True)
class Wrong:
    """Why a training would fail.

    Args:
        what: one sentence without a full stop.
        key: dotted key of the config that is to blame.
        do: what to do about it.
    """

    what: str
    key: str = ""
    do: str = ""


class WrongError(Exception):
    """Raised where a check of the preflight itself finds something wrong."""

    def __init__(self, what: str, key: str = "", do: str = ""):
        super().__init__(what)
        self.wrong = Wrong(what, key, do)


def cause_of(error: BaseException) -> BaseException:
    """What was raised where Hydra's `instantiate` wrapped it."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error


def said(error: BaseException) -> str:
    """Type and message of an error in one line, cut where it is long."""
    message = " ".join(str(error).split())
    plain = type(error).__name__ in PLAIN
    text = message if plain and message else f"{type(error).__name__}: {message}".rstrip(": ")
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " ..."


def named_field(message: str, fields: Iterable[str]) -> str | None:
    """The first of `fields` that a message names as a word of its own; one-word names only where they are quoted."""
    known = set(fields)
    for word in re.finditer(r"[`'\"(]?-*([A-Za-z][A-Za-z0-9_]*)", message):
        name = word[1]
        quoted = word[0][0] in "`'\"(-"
        if name in known and (quoted or "_" in name):
            return name
    return None


# What libraries call the fields by.
CALLED = {
    "learning rate": "learning_rate",
    "max_new_tokens": "max_completion_length",
    "batch_size": "per_device_train_batch_size",
    "num_samples=0": "max_length",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "scheduler": "lr_scheduler_type",
}


def field_of(message: str, given: dict[str, object], fields: Iterable[str]) -> str | None:
    """The field of the trainer's arguments that a message is about: by its name, its value, or another name."""
    fields = set(fields)
    named = named_field(message, fields)
    if named:
        return named
    for name, value in given.items():
        if isinstance(value, str) and name in fields and re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", message):
            return name
    return next((name for words, name in CALLED.items() if words in message and name in fields), None)
