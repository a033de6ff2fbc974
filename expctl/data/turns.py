"""Conversations as trainers take them: turns of a role and a text, in whatever form the data have them. Torch-free."""

import difflib
from typing import Any

Turn = dict[str, Any]
ROLES = ("system", "developer", "user", "assistant", "tool", "function", "ipython")
_SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}
_SHAREGPT_KEYS = {"from": "role", "value": "content"}


def is_conversation(cell: Any) -> bool:
    """Whether a cell is a list of turns, with the keys `role` and `content` or, as in ShareGPT, `from` and `value`."""
    return isinstance(cell, list) and all(map(is_turn, cell))


def is_turn(cell: Any) -> bool:
    """Whether a cell is one turn of a conversation."""
    return isinstance(cell, dict) and ("role" in cell or "from" in cell)


def plain_turns(conversation: list[Turn]) -> list[Turn]:
    """Each turn with a role that is known and its content as one text; further keys (`tool_calls`, ...) are kept.

    Raises:
        ValueError: a role that is not known, or content that is no text (an image, a number).
    """
    return [_plain_turn(turn) for turn in conversation]


def system_turns(text: str | None) -> list[Turn]:
    """The turns with which a conversation begins that has this text of the system; none for None."""
    return [] if text is None else [{"role": "system", "content": text}]


def with_system(cell: Any, text: str) -> list[Turn]:
    """A conversation that begins with this turn of the system, unless it has one of its own.

    Raises:
        ValueError: it is a text.
    """
    if not isinstance(cell, list):
        raise ValueError("dataset.system_prompt begins conversations, and this is a text; dataset.conversational=true")
    return cell if cell and cell[0]["role"] == "system" else [*system_turns(text), *cell]


def is_blank(cell: str | list[Turn]) -> bool:
    """Whether there is nothing in it to train on."""
    if isinstance(cell, str):
        return not cell.strip()
    return not any(_says_something(turn) for turn in cell)


def _says_something(turn: Any) -> bool:
    if isinstance(turn, str):
        return bool(turn.strip())
    return bool(turn["content"].strip() or turn.get("tool_calls"))


def check_text(text: str) -> str:
    """Return `text`. Raise ValueError for half a surrogate pair, which JSON can spell and UTF-8 cannot encode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"a text has half a surrogate pair, {text[error.start : error.end]!a}") from error
    return text


def _plain_turn(turn: Turn) -> Turn:
    named = {_SHAREGPT_KEYS.get(key, key): value for key, value in turn.items() if value is not None}
    role = str(named.pop("role", None))
    role = _SHAREGPT_ROLES.get(role, role)
    if role not in ROLES:
        nearest = difflib.get_close_matches(role.lower(), (*ROLES, *_SHAREGPT_ROLES), n=1)
        suggestion = f" (nearest: '{nearest[0]}')" if nearest else ""
        raise ValueError(f"a turn has the role {role!r:.60}; known are {', '.join(ROLES)}{suggestion}")
    content = named.pop("content", "")
    text = content if isinstance(content, str) else _text(content)
    return {"role": role, "content": check_text(text), **named}


def _text(parts: Any) -> str:
    """The text of content in parts, `[{"type": "text", "text": ...}, ...]`."""
    if not isinstance(parts, list):
        raise ValueError(f"a turn's content is a {type(parts).__name__}, {parts!r:.60}; it must be a text")
    return "".join(part if isinstance(part, str) else _text_part(part) for part in parts)


def _text_part(part: Any) -> str:
    if not isinstance(part, dict):
        raise ValueError(_not_text(type(part).__name__, part))
    text = part.get("text")
    if part.get("type", "text") != "text" or not isinstance(text, str):
        raise ValueError(_not_text(part.get("type"), part))
    return text


def _not_text(kind: object, part: object) -> str:
    return f"a turn's content has a part of type {kind!r}: {part!r:.60}; only texts are read"
