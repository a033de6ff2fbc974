"""A prompt and what follows it, in one form and each text once. Torch-free.

Public data have them in many forms: texts or conversations, completions that repeat the prompt (UltraFeedback), a
prompt that is only what two completions begin with (HH-RLHF), one list of messages. What comes out is what TRL calls
an explicit prompt: `prompt + completion` is the whole, and nothing stands in both.
"""

from itertools import takewhile

from expctl.data.turns import Turn

Cell = str | list[Turn]


def last_turn_apart(conversation: Cell) -> tuple[list[Turn], list[Turn]]:
    """The turns before the assistant's last one, and that one (none where another role speaks last)."""
    if isinstance(conversation, str):
        raise ValueError("it is a text; only of a conversation the last turn can be taken apart")
    last = conversation[-1:] if conversation and conversation[-1]["role"] == "assistant" else []
    return conversation[: len(conversation) - len(last)], last


def shared_beginning(first: Cell, second: Cell) -> Cell:
    """What a chosen and a rejected completion both begin with: their prompt, as `trl.data_utils.extract_prompt` has it.

    Raises:
        ValueError: they share nothing, or one is the beginning of the other.
    """
    if type(first) is not type(second):
        raise ValueError("'chosen' and 'rejected' must both be texts or both conversations")
    length = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))
    if not isinstance(first, str):
        length = min(length, len(first) - 1, len(second) - 1)  # something is left of both
    elif length == min(len(first), len(second)):
        raise ValueError("'chosen' and 'rejected' are the same, or one begins with the other")
    elif first[length - 1] == " ":
        length -= 1
    if length < 1:
        raise ValueError("'chosen' and 'rejected' begin differently, so that there is no prompt")
    return first[:length]


def in_one_form(prompt: Cell, completions: dict[str, Cell]) -> tuple[Cell, dict[str, Cell]]:
    """All as texts, or all as conversations where one of them is, without the turns of the prompt in a completion.

    Raises:
        ValueError: a completion begins with a turn that is neither the assistant's nor the prompt's.
    """
    if all(isinstance(cell, str) for cell in (prompt, *completions.values())):
        return prompt, completions
    turns = {
        name: [{"role": "assistant", "content": cell}] if isinstance(cell, str) else cell
        for name, cell in completions.items()
    }
    if isinstance(prompt, str):
        prompt = _prompt_turns(prompt, list(turns.values()))
    return prompt, {name: _after(prompt, cell, name) for name, cell in turns.items()}


def begins_with(prompt: Cell, completions: dict[str, Cell]) -> bool:
    """Whether these are texts, and every completion repeats the whole prompt."""
    return isinstance(prompt, str) and all(
        isinstance(cell, str) and len(cell) > len(prompt) and cell.startswith(prompt) for cell in completions.values()
    )


def _prompt_turns(prompt: str, completions: list[list[Turn]]) -> list[Turn]:
    """The prompt as turns: the completions' own, where they begin with it, else the user's."""
    opening = [turn for turn in completions[0][:2] if turn["role"] != "assistant"]
    if not opening:
        return [{"role": "user", "content": prompt}]
    if len(completions) == 1:
        return last_turn_apart(completions[0])[0]
    shared = shared_beginning(*completions)
    assert isinstance(shared, list)  # of conversations it is a conversation
    return shared


def _after(prompt: list[Turn], completion: list[Turn], name: str) -> list[Turn]:
    """A completion without the turns that the prompt ends with."""
    if completion and completion[0]["role"] != "assistant":
        completion = completion[_overlap(prompt, completion) :]
    wrong = [turn["role"] for turn in (*completion[:1], *completion[-1:]) if turn["role"] != "assistant"]
    if wrong:
        raise ValueError(
            f"'{name}' begins or ends with a turn of '{wrong[0]}' that is not the prompt's; it must hold what the "
            "assistant says, or repeat the prompt before it"
        )
    return completion


def _overlap(prompt: list[Turn], completion: list[Turn]) -> int:
    """The number of turns that the prompt ends and the completion begins with."""
    lengths = range(min(len(prompt), len(completion)), 0, -1)
    return next((length for length in lengths if completion[:length] == prompt[-length:]), 0)
