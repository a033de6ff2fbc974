"""Filters of runs: words such as `algorithm=gfpo`, `seed=0,1`, `'eval_reward>0.9'` or `host~node[0-3]`.

A filter is asked about the facts of a run (see `expctl.runs.facts`): a flat mapping from names, as a person types
them, to what run.json, config.yaml and summary.json say.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from expctl.base.data_kinds import KIND_KEYS, OLD_SPELLINGS
from expctl.base.notice import notice_once
from expctl.base.plain_data import is_number
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest

_WORD = re.compile(r"\+{0,2}([^\s=!<>~]+)\s*(!=|!~|<=|>=|=|<|>|~)\s*(.*)", re.DOTALL)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda fact, given: fact < given,
    "<=": lambda fact, given: fact <= given,
    ">": lambda fact, given: fact > given,
    ">=": lambda fact, given: fact >= given,
}
_NAMED = {"true": True, "false": False, "null": None, "nan": math.nan}
HOW = "write key=value, key!=value, key~regex, or in quotes (the shell has < and > for files) 'key>value'"


def parse(words: Iterable[str], known: Collection[str] | None = None) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate: whether the facts of a run match every filter.

    `key=value` takes several values (`seed=0,1`) and patterns (`model=qwen*`); `!=` is its opposite; `<`, `<=`, `>`,
    `>=` compare numbers as numbers and texts (`started>2026-11`) as texts; `key~regex` looks for a match anywhere and
    `key!~regex` is its opposite. A run without the fact matches only `key=null`, `key!=...` and `key!~...`.

    Args:
        words: as typed.
        known: the keys that may be asked for; None when any may.

    Raises:
        Refusal: a word is no filter, its key is unknown, or (raised by the predicate) its value cannot be compared with
            that of a run.
    """
    tests = [_test(word, known) for word in words]
    return lambda facts: all(test(facts) for test in tests)


def require_known(key: str, known: Collection[str], where: str) -> None:
    """Refuse a key that no run has.

    Raises:
        Refusal: with the nearest known keys.
    """
    if key in known:
        return
    # `learning_rate` is meant to be `args.learning_rate`: what ends so comes before what is spelt alike.
    ending = sorted(name for name in known if re.split(r"[./]", name)[-1] == key)
    raise Refusal(
        f"no run here has '{key}'",
        where=f"{where} (command line)",
        nearest=(ending or nearest(key, known))[:4],
        do="expctl ls --json --limit 1 shows everything that can be asked for",
    )


def _test(word: str, known: Collection[str] | None) -> Callable[[Mapping[str, Any]], bool]:
    match = _WORD.fullmatch(word)
    if not match:
        raise Refusal(f"'{word}' is no filter", where=f"{word} (command line)", do=HOW)
    key, sign, text = match[1], match[2], match[3].strip()
    if known is not None:
        require_known(key, known, word)
    if sign in ("~", "!~"):
        pattern = _pattern(text, word)
        return lambda facts: _matches(pattern, facts.get(key)) == (sign == "~")
    if sign in ("=", "!="):
        options = text.split(",") if not text.startswith(("[", "{")) else [text]
        options = [_current(key, option.strip(), word) for option in options]
        return lambda facts: any(_is(facts.get(key), option) for option in options) == (sign == "=")
    given = value_of(text)
    return lambda facts: _compared(facts.get(key), sign, given, word)


def _current(key: str, option: str, word: str) -> str:
    """A value in today's spelling, with a notice where a kind of data was typed as expctl 0.1 spelled it."""
    if key not in KIND_KEYS or option not in OLD_SPELLINGS:
        return option
    notice_once(f"{key}: '{option}' is called '{OLD_SPELLINGS[option]}' now ({word})")
    return OLD_SPELLINGS[option]


def _pattern(text: str, word: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Refusal(f"'{text}' is no regular expression: {error}", where=f"{word} (command line)") from error


def _matches(pattern: re.Pattern[str], fact: Any) -> bool:
    return fact is not None and pattern.search(text_of(fact)) is not None


def _is(fact: Any, text: str) -> bool:
    """Whether a fact equals the typed value as a number, another value or a text, or matches it as a pattern."""
    given = value_of(text)
    if given is None or fact is None:
        return given is None and fact is None
    if text_of(fact) == text:
        return True
    if is_number(fact) and is_number(given):
        return fact == given or (math.isnan(fact) and math.isnan(given))
    if isinstance(fact, bool) or isinstance(given, bool):
        return fact is given
    if isinstance(fact, list | dict):
        return re.sub(r"[\s'\"]", "", text_of(fact)) == re.sub(r"[\s'\"]", "", text)
    return text_of(fact) == given or (any(sign in text for sign in "*?[") and fnmatchcase(text_of(fact), text))


def _compared(fact: Any, sign: str, given: Any, word: str) -> bool:
    if is_number(fact) and is_number(given):
        return _ORDER[sign](fact, given)
    if is_number(fact):
        raise Refusal(f"'{word}' compares a number with a text", where=f"{word} (command line)", do="give a number")
    return isinstance(fact, str) and _ORDER[sign](fact, text_of(given))


def value_of(text: str) -> Any:
    """The value of a word: a number, true, false, null, or the text without its quotes."""
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def text_of(value: Any) -> str:
    """A value as it is typed: `true`, `null`, `1e-05`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
