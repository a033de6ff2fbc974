"""Rewards of the form of a completion: its tags, a regular expression, a JSON schema, the script it is written in."""

import functools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from expctl.rewards.completions import UNFINISHED, Completion, Explain, final_texts, text_of

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
# What is written in Latin letters whatever the language: LaTeX, code, addresses.
_NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`|\$[^$]*\$|\\[a-zA-Z]+|https?://\S+", re.DOTALL)


def tags(
    completions: Sequence[Completion],
    *,
    names: Sequence[str] = ("think", "answer"),
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    **kwargs: object,
) -> list[float]:
    """1.0 where the completion is `<think>...</think><answer>...</answer>` and nothing else, else 0.0.

    Each tag stands once, in this order, with something in it. A prompt that ends with the first tag has opened it.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        names: of the tags, in their order.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    form = re.compile(r"\s*".join(rf"<{re.escape(name)}>(.*?)</{re.escape(name)}>" for name in names), re.DOTALL)
    opened = f"<{names[0]}>"
    begun = [text_of(prompt).rstrip().endswith(opened) for prompt in prompts or [""] * len(completions)]
    texts = [f"{opened * is_open}{text_of(one)}" for one, is_open in zip(completions, begun, strict=True)]
    cut = truncated or [False] * len(texts)
    return [float(not is_cut and _has_form(text, form, names)) for text, is_cut in zip(texts, cut, strict=True)]


def _has_form(text: str, form: re.Pattern[str], names: Sequence[str]) -> bool:
    if any(text.count(f"<{name}>") != 1 or text.count(f"</{name}>") != 1 for name in names):
        return False
    found = form.fullmatch(text.strip())
    return found is not None and all(part.strip() for part in found.groups())


def matches(
    completions: Sequence[Completion],
    *,
    regex: str,
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float]:
    """1.0 where the regular expression is found in what follows the reasoning, else 0.0; `^...$` asks for all of it.

    A completion that was cut off, or whose reasoning does not end, earns nothing.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        regex: as Python's `re` has them; the dot matches line breaks too.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was found, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    form = re.compile(regex, re.DOTALL)
    texts = final_texts(completions, truncated, prompts)
    found = [None if text is None else form.search(text.strip()) for text in texts]
    if explain:
        explain("found", ["" if match is None else match[0] for match in found])
    return [float(match is not None) for match in found]


class JsonSchema:
    """1.0 where what follows the reasoning is JSON that a schema allows, else 0.0; a fence around it is no fault.

    Args:
        schema: a JSON schema (https://json-schema.org); `{}` allows any JSON.

    Raises:
        jsonschema.SchemaError: it is no schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema.validators import validator_for

        kind = validator_for(schema)
        kind.check_schema(schema)
        self._validator = kind(schema)

    def __call__(
        self,
        completions: Sequence[Completion],
        truncated: Sequence[bool] | None = None,
        prompts: Sequence[Completion] | None = None,
        explain: Explain | None = None,
        **kwargs: object,
    ) -> list[float]:
        """One reward a completion."""
        faults = [self._fault(text) for text in final_texts(completions, truncated, prompts)]
        if explain:
            explain("fault", faults)
        return [float(not fault) for fault in faults]

    def _fault(self, text: str | None) -> str:
        """What is wrong with a text; "" where nothing is."""
        if text is None:
            return UNFINISHED
        fenced = _FENCED.fullmatch(text.strip())
        try:
            value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return f"no JSON: {error}"
        fault = next(self._validator.iter_errors(value), None)
        return "" if fault is None else f"{fault.json_path}: {fault.message}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def script(completions: Sequence[Completion], *, names: Sequence[str], **kwargs: object) -> list[float]:
    """The share of a completion's letters that are of some scripts, 0 to 1; 0.0 without a letter.

    The language consistency of DeepSeek-R1 (arXiv 2501.12948, section 2.3.2) as far as scripts tell languages apart:
    Chinese from English, not German from English. Reasoning counts too; formulas, code and addresses do not.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        names: first words of Unicode's names of the letters: LATIN, CYRILLIC, GREEK, ARABIC, HEBREW, DEVANAGARI, CJK,
            HIRAGANA, KATAKANA, HANGUL, ...
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    wanted = {name.upper() for name in names}
    shares = []
    for completion in completions:
        letters = [sign for sign in _NO_PROSE.sub(" ", text_of(completion)) if sign.isalpha()]
        shares.append(sum(_script_of(letter) in wanted for letter in letters) / max(1, len(letters)))
    return shares


@functools.lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
