"""What rewards read of a completion: its text, and the part of it that is the answer."""

import re
from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]
# A string, or a conversation whose last message is the completion.
Completion = str | list[Message]
# Takes a title and what a reward has to say of each completion; `expctl reward` gives it, a training does not.
Explain = Callable[[str, list[Any]], object]
UNFINISHED = "unfinished"  # said of a completion that was cut off, or whose reasoning does not end

OPEN_MARK = "(an open or empty mark)"  # said of a completion whose last mark has no answer in it
ANSWER_READ = "answer read"  # the title under which `explain` is told the answer of each completion

_REASONING = "think|thinking|thought|thoughts|reasoning|reason|scratchpad|analysis"
# <think>, [THINK] (Magistral) and ◁think▷ (Kimi), opening and closing.
_TAG = re.compile(
    rf"<\s{{0,3}}(?P<closes>/?)\s{{0,3}}(?P<name>{_REASONING})(?:\s{{1,3}}\w{{1,20}}=[^<>]{{0,100}})?\s{{0,3}}>"
    r"|\[(?P<closes_bracket>/?)(?P<bracket>THINK)\]|◁(?P<closes_sign>/?)(?P<sign>think)▷",
    re.IGNORECASE,
)


def text_of(completion: Completion) -> str:
    """The text of a completion: the string itself, or the content of its last message ("" where it has none)."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else None
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


def final_texts(
    completions: Sequence[Completion],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
) -> list[str | None]:
    """The text after the reasoning of each completion; None where there is none to judge.

    None where the completion was cut off at its limit, or where its reasoning (`<think>` and the like) was begun and
    not ended: what stands in it is not an answer yet.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        truncated: whether each completion was cut off; None where that is not known.
        prompts: the prompt of each row; one that ends within `<think>` has begun the reasoning itself.
    """
    cut = [False] * len(completions) if truncated is None else truncated
    begun = [False] * len(completions)
    if prompts:
        begun = [_is_thinking(prompt) for prompt in prompts]
    return [
        None if is_cut else after_reasoning(text_of(completion), begun=is_begun)
        for completion, is_cut, is_begun in zip(completions, cut, begun, strict=True)
    ]


def after_reasoning(text: str, *, begun: bool = False) -> str | None:
    """What follows the last closed reasoning; the whole text where there is none; None where it is not closed."""
    tags = list(_TAG.finditer(text))
    if not tags:
        return None if begun else text
    if _open_names(tags):
        return None
    return text[tags[-1].end() :]


def _is_thinking(prompt: Completion) -> bool:
    """Whether a prompt ends by opening the reasoning, as a prefilled assistant turn may do."""
    if not isinstance(prompt, str) and (not prompt or prompt[-1].get("role") != "assistant"):
        return False
    end = text_of(prompt)[-200:]
    tags = list(_TAG.finditer(end))
    return bool(tags) and not _closes(tags[-1]) and not end[tags[-1].end() :].strip()


def _open_names(tags: list[re.Match[str]]) -> list[str]:
    """Names of the tags that are opened after they were last closed."""
    last = {(tag["name"] or tag["bracket"] or tag["sign"]).lower(): _closes(tag) for tag in tags}
    return [name for name, closes in last.items() if not closes]


def _closes(tag: re.Match[str]) -> bool:
    return bool(tag["closes"] or tag["closes_bracket"] or tag["closes_sign"])
