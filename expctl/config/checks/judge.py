"""Judges: their address, rubric, scale and limits."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal

GROUP = "judge"
JUDGE = "expctl.rewards.judge.Judge"
# Setting -> whether null is one of its values.
ABOVE_ZERO = {"at_once": False, "per_minute": True, "most_calls": True, "most_tokens": True, "timeout": False}


def check_judge(experiment: Experiment) -> list[Refusal]:
    """Refuse a judge that cannot be asked or whose answer cannot be read, and one that nothing asks."""
    nodes = list(_nodes(experiment.config))
    typed = [key for key in experiment.sources if key == GROUP or key.startswith(f"{GROUP}.")]
    if typed and not nodes:
        what = f"'{typed[0]}' would do nothing: no reward asks a judge"
        return [Refusal(what, where=experiment.set_by(typed[0]), do="reward=judge as well, or leave it out")]
    refusals = []
    for node in nodes:
        for key, fault in _faults(node, experiment.folder):
            refusals.append(Refusal(f"'{GROUP}.{key}' {fault}", where=experiment.set_by(f"{GROUP}.{key}")))
    return refusals


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """The mappings of a config that make a judge, at any depth."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    if node.get("_target_") == JUDGE:
        yield node
        return
    for inner in node.values():
        yield from _nodes(inner)


def _faults(node: dict[str, Any], folder: Path) -> list[tuple[str, str]]:
    """Key and fault of what is wrong with the settings of a judge."""
    checks: tuple[Callable[[], tuple[str, str] | None], ...] = (
        lambda: _address(str(node["url"])),
        lambda: _rubric(node, folder),
        lambda: _scale(node.get("scale", [0, 10])),
        lambda: _pattern(node.get("pattern")),
    )
    found = [check() for check in checks]
    found += [_above_zero(key, node.get(key), may_be_null) for key, may_be_null in ABOVE_ZERO.items() if key in node]
    return [fault for fault in found if fault is not None]


def _address(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "url", f"is {url!r}; it must begin with http:// or https://, as http://localhost:8000/v1"
    if parts.username or parts.password or parts.query:
        return "url", "holds more than an address; a key is read from the environment (judge.key_variable)"
    if parts.path.rstrip("/").endswith("/completions"):
        return "url", "ends before /chat/completions, which is added to it"
    return None


def _rubric(node: dict[str, Any], folder: Path) -> tuple[str, str] | None:
    name = node.get("rubric_file")
    if name is None:
        return None if str(node.get("rubric") or "").strip() else ("rubric", "is empty; say what is good")
    if not (folder / Path(str(name)).expanduser()).is_file():
        return "rubric_file", f"is {name!r}, and there is no such file in {folder}"
    return None


def _scale(scale: Any) -> tuple[str, str] | None:
    is_pair = isinstance(scale, list) and len(scale) == 2 and all(type(end) in (int, float) for end in scale)
    return (
        None if is_pair and scale[0] != scale[1] else ("scale", f"is {scale!r}; it must be [worst, best], two numbers")
    )


def _pattern(pattern: Any) -> tuple[str, str] | None:
    if pattern is None:
        return None
    try:
        groups = re.compile(pattern).groups
    except (re.error, TypeError) as error:
        return "pattern", f"is no regular expression: {error}"
    return None if groups == 1 else ("pattern", f"has {groups} groups (...); it must have one, around the number")


def _above_zero(key: str, value: Any, may_be_null: bool) -> tuple[str, str] | None:
    if value is None and may_be_null:
        return None
    if type(value) in (int, float) and value > 0:
        return None
    allowed = "a number above 0 or null" if may_be_null else "a number above 0"
    return key, f"is {value!r}; it must be {allowed}"
