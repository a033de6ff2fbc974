"""Tokens of the longest rows, from the beginning of the data: without `datasets` and without transformers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import PROMPT_COMPLETION, PROMPT_ONLY
from expctl.base.plain_data import mapping
from expctl.data import gsm8k_location, peek
from expctl.data.formats import UNREADABLE
from expctl.data.forms import COMPLETIONS
from expctl.data.images import IMAGES
from expctl.data.located import FILES, HUB, file_source, training_source
from expctl.data.parts import MIXTURE, SOURCES, parts_of
from expctl.data.row_options import shape_options

Count = Callable[[str], int]
# English of a tokenizer with a large vocabulary; used where there is no tokenizer to ask.
CHARACTERS_A_TOKEN = 4
# What a chat template adds to a conversation: names of the roles, marks, a short system prompt.
TEMPLATE_TOKENS = 30
ASSUMED_PROMPT = 256
ASSUMED_ANSWER = 512
# Rows whose tokens are counted: the longest by their characters.
COUNTED_ROWS = 8
_SUM = "99+99="
_CONCISE = " 9+9=18 9+9+1=19 so 198"
_RESTATED = " 9+9=18 9+9+1=19" + " wait 9+9+1=19" * 7 + " so 198"


@dataclass(frozen=True)
class Lengths:
    """Tokens of the longest row: of its prompt, and of what follows (0 where that is sampled)."""

    prompt: int
    answer: int
    # How they were found, in words; empty where nothing had to be assumed.
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Texts:
    prompt: str
    answer: str
    turns: bool
    images: bool = False


def lengths_of(dataset: dict[str, Any], kind: str, tokenizer: Path | None) -> Lengths:
    """The longest prompt and answer among the first rows.

    Args:
        dataset: the resolved group.
        kind: what the algorithm learns from.
        tokenizer: a `tokenizer.json`; None where the model has none here.
    """
    try:
        texts = list(_of(dataset, kind))
    except (OSError, ValueError, KeyError, *UNREADABLE):
        texts = []  # the check of the dataset says what is wrong with it
    if not texts:
        answer = 0 if kind == PROMPT_ONLY else ASSUMED_ANSWER
        shown = f"prompts of {ASSUMED_PROMPT} tokens" + (f", answers of {answer}" if answer else "")
        return Lengths(ASSUMED_PROMPT, answer, (f"{shown}: the rows of this dataset cannot be looked at here",))
    count, assumed = _counter(tokenizer)
    if unseen := _unseen_sources(dataset, kind):
        assumed = (*assumed, f"no row of {', '.join(unseen)} is longer than those of the other sources")
    prompt = max(count(each) for each in _longest(texts, lambda row: row.prompt))
    answer = max(count(each) for each in _longest(texts, lambda row: row.answer))
    if any(row.turns for row in texts):
        nodes = [dataset, *(node for _, node in parts_of(dataset) if isinstance(node, dict))]
        prompt += max(count(str(node.get("system_prompt") or "")) for node in nodes) + TEMPLATE_TOKENS
        assumed = (*assumed, f"{TEMPLATE_TOKENS} tokens of a conversation for the chat template")
    if any(row.images for row in texts):
        assumed = (*assumed, "images take nothing: neither their tokens nor the part that sees them is counted")
    return Lengths(prompt, answer, assumed)


def _counter(tokenizer: Path | None) -> tuple[Count, tuple[str, ...]]:
    """A function that counts the tokens of a text, and what it assumes."""
    if tokenizer is None:
        return _by_characters, (f"{CHARACTERS_A_TOKEN} characters a token: the model has no tokenizer.json here",)
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(tokenizer))
    return lambda text: len(known.encode(text, add_special_tokens=False).ids), ()


def _by_characters(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _longest(texts: list[_Texts], of: Callable[[_Texts], str]) -> list[str]:
    return sorted({of(row) for row in texts}, key=len)[-COUNTED_ROWS:]


def _of_files(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    source = training_source(dataset)
    if source is None:
        return
    shape = replace(peek.shape_of(source, **shape_options({**dataset, "kind": kind})), system_prompt=None)
    for _, cells in peek.head(source)[0]:
        row = shape.row(cells)
        follows = () if kind == PROMPT_ONLY else COMPLETIONS
        answers = [_text(row[name]) for name in follows if isinstance(row.get(name), str | list)]
        prompt = row.get("prompt", row.get("messages", row.get("text", "")))
        longest = max(answers, key=len, default="")
        yield _Texts(_text(prompt), longest, isinstance(prompt, list), bool(row.get(IMAGES)))


def _of_gsm8k(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    location = gsm8k_location.find(dataset.get("path") or gsm8k_location.HUB_ID)
    if location is None:
        return
    file = location if location.is_file() else gsm8k_location.split_file(location, "train")
    for _, row in peek.head(file_source(str(file), "dataset.path"))[0]:
        prompt = f"{row['question']}\n{dataset.get('instruction') or ''}"
        yield _Texts(prompt, str(row["answer"]) if kind == PROMPT_COMPLETION else "", turns=True)


def _of_arithmetic(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    answers = {PROMPT_ONLY: "", PROMPT_COMPLETION: _CONCISE}
    yield _Texts(_SUM, answers.get(kind, _RESTATED), turns=False)


def _of_mixture(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    for node in mapping(dataset.get(SOURCES)).values():
        yield from _of(node, kind)


def _unseen_sources(dataset: dict[str, Any], kind: str) -> list[str]:
    """The sources of a mixture whose rows cannot be looked at here."""
    return [name for name, node in mapping(dataset.get(SOURCES)).items() if next(_of(node, kind), None) is None]


def _of(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    return _TEXTS.get(dataset.get("_target_", ""), _no_texts)(dataset, kind)


def _no_texts(dataset: dict[str, Any], kind: str) -> Iterator[_Texts]:
    return iter(())


def _text(cell: Any) -> str:
    """A text, or what the turns of a conversation say."""
    if isinstance(cell, list):
        return "".join(_text(turn.get("content")) for turn in cell if isinstance(turn, dict))
    return cell if isinstance(cell, str) else ""


_TEXTS: dict[str, Callable[[dict[str, Any], str], Iterator[_Texts]]] = {
    FILES: _of_files,
    HUB: _of_files,
    "expctl.data.gsm8k.load": _of_gsm8k,
    "expctl.data.arithmetic.load": _of_arithmetic,
    MIXTURE: _of_mixture,
}
