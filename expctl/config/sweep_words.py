"""The words of a sweep: what its file gives, and what was typed over it."""

import re
from collections.abc import Mapping
from typing import Any

from expctl.base.words import key_of

# Keys under these are checked against the signature of their `_target_`, so any of them can be set without Hydra's `+`.
OPEN_GROUPS = ("args", "dataset", "reward", "peft", "callbacks", "algorithm.trainer")
# The same for keys that a file of the user's own need not have.
OPEN_KEYS = ("prompts_per_step=", "hardware.rows=", "hardware.memory_gib=")
# What is laid over the experiment. The root config lists them, unset, so Hydra would refuse the `+` of an addition.
PARTS = (
    "algorithm/ratio=",
    "algorithm/replay=",
    "algorithm/reference=",
    "algorithm/resampling=",
    "experiment=",
    "sweep=",
)


def open_key(word: str) -> str:
    """`args.weight_decay=0.1` also where no file mentions the field yet; fields and parts with or without `+`."""
    if word.removeprefix("+").startswith(PARTS):
        return word.removeprefix("+")
    if word.startswith("fail_fast="):
        return f"hydra.launcher.{word}"
    bare = word.removeprefix("+")
    is_open = bare.startswith(OPEN_KEYS) or re.match(rf"({'|'.join(map(re.escape, OPEN_GROUPS))})\.[\w.]+=", bare)
    return f"++{bare}" if is_open else word


def sweep_words(params: Mapping[str, Any] | None, typed: list[str]) -> list[str]:
    """Every word of a sweep: those of its file, but for keys that were typed as well, then what was typed.

    The file itself is no part of a cell, which is the same run with it and without it.
    """
    typed = [word for word in typed if key_of(word) != "sweep"]
    keys = set(map(key_of, typed))
    given = [open_key(f"{key}={value}") for key, value in (params or {}).items()]
    return [*(word for word in given if key_of(word) not in keys), *typed]
