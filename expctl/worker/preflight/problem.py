"""Problems that the preflight finds: an error of a library, with the key of the config that causes it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_MESSAGE = 400
# Exceptions whose names add nothing to their messages.
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
class Problem:
    """Why a training would fail.

    Args:
        what: one sentence without a full stop.
        key: dotted key of the config that causes it.
        do: what to do about it.
    """

    what: str
    key: str = ""
    do: str = ""


class ProblemError(Exception):
    """Raised where a check of the preflight itself finds a problem; see `Problem` for the arguments."""

    def __init__(self, what: str, key: str = "", do: str = ""):
        super().__init__(what)
        self.problem = Problem(what, key, do)


def error_text(error: BaseException) -> str:
    """Type and message of an error in one line, cut where it is long."""
    message = " ".join(str(error).split())
    name = type(error).__name__
    is_enough = message and name in PLAIN
    text = message if is_enough else f"{name}: {message}".rstrip(": ")
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE].rstrip() + " ..."


def named_field(message: str, fields: Iterable[str]) -> str | None:
    """The first of `fields` that a message names as a whole word; a name without an underscore only where quoted."""
    known = set(fields)
    for word in re.finditer(r"[`'\"(]?-*([A-Za-z][A-Za-z0-9_]*)", message):
        name = word[1]
        is_quoted = word[0][0] in "`'\"(-"
        if name in known and (is_quoted or "_" in name):
            return name
    return None


# Words of a library's message -> the field that it is about.
FIELD_OF_WORDS = {
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
    """The field of the trainer's arguments that a message is about: by its name, its value, or a library's words."""
    known = set(fields)
    named = named_field(message, known)
    if named:
        return named
    for name, value in given.items():
        if isinstance(value, str) and name in known and re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", message):
            return name
    for words, name in FIELD_OF_WORDS.items():
        if words in message and name in known:
            return name
    return None
