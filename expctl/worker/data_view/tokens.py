"""A row as the sequences of tokens that the model reads, each with the tokens that are trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# What of a row follows its prompt, each a sequence of its own.
ENDS = ("completion", "chosen", "rejected")
IGNORED = -100


@dataclass(frozen=True)
class Sequence:
    """Tokens that the model reads at once.

    Args:
        name: what they are: "prompt", "completion", "chosen", "rejected", or "row" for a whole one.
        ids: of the tokens, `(T,)`.
        trained: which of them the loss is computed on, `(T,)`.
    """

    name: str
    ids: list[int]
    trained: list[bool]

    @property
    def prompt_tokens(self) -> int:
        """Tokens before the first one that is trained on."""
        return self.trained.index(True) if any(self.trained) else len(self.ids)


def of_prepared_row(row: Mapping[str, Any]) -> list[Sequence]:
    """The sequences of a row that a trainer has tokenized; empty where it did not, or not under TRL's names."""
    sequences = [sequence for name in ENDS if (sequence := _end(row, name)) is not None]
    if not sequences and row.get("input_ids"):
        ids = row["input_ids"]
        sequences = [Sequence("row", ids, _mask(row, "labels", "completion_mask", ids))]
    return sequences


def _end(row: Mapping[str, Any], name: str) -> Sequence | None:
    """What follows the prompt, with the prompt before it."""
    ids = row.get(f"{name}_ids") or row.get(f"{name}_input_ids")
    if not ids:
        return None
    if row.get(f"{name}_labels"):  # with the prompt in it
        return Sequence(name, ids, _mask(row, f"{name}_labels", "", ids))
    prompt = row.get("prompt_ids") or row.get("prompt_input_ids") or []
    return Sequence(name, [*prompt, *ids], [False] * len(prompt) + [True] * len(ids))


def _mask(row: Mapping[str, Any], labels: str, mask: str, ids: list[int]) -> list[bool]:
    for name, is_trained in ((labels, lambda cell: cell != IGNORED), (mask, bool)):
        cells = row.get(name)
        if cells is not None and len(cells) == len(ids):
            return [is_trained(cell) for cell in cells]
    return [True] * len(ids)


def of_prompt(prompt: Any, tokenizer: Any, options: Mapping[str, Any]) -> Sequence:
    """A prompt as a trainer that samples hands it to the model.

    `options`: keywords of the chat template.
    """
    if isinstance(prompt, str):
        ids = tokenizer(text=prompt)["input_ids"]
    else:
        rendered = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, tokenize=True, return_dict=True, **options
        )
        ids = rendered["input_ids"]
    return Sequence("prompt", list(ids), [False] * len(ids))


def segments(sequence: Sequence, tokenizer: Any, is_left: Callable[[int], bool]) -> list[dict[str, Any]]:
    """The text of a sequence, in pieces of tokens that are alike.

    Args:
        sequence: at least one token.
        tokenizer: of the model.
        is_left: whether the token at a position is left where long sequences are cut.

    Returns:
        A dict a piece: its `text`, how many `tokens` it has, whether they are `trained` on, `special` or `cut` off.
    """
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
    kinds = [
        (trained, token in special, not is_left(place))
        for place, (token, trained) in enumerate(zip(sequence.ids, sequence.trained, strict=True))
    ]
    pieces = []
    for (trained, is_special, cut), places in groupby(range(len(kinds)), key=kinds.__getitem__):
        ids = [sequence.ids[place] for place in places]
        text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        pieces.append({"text": text, "tokens": len(ids), "trained": trained, "special": is_special, "cut": cut})
    return pieces
