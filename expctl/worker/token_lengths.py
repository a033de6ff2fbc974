"""The rows that `dataset.filter_tokens` keeps: lengths as the model's tokenizer and its chat template make them."""

import logging
from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from trl.data_utils import maybe_extract_prompt

from expctl.data import expression
from expctl.data.conversation import OPTIONS_COLUMN, fit_to_tokenizer
from expctl.data.token_filter import COMPLETION, KEY, PROMPT, REFERENCE, WHOLE
from expctl.worker.data_view.tokens import ENDS, of_prompt

logger = logging.getLogger(__name__)


def keep_by_tokens(
    dataset: Any, given: str | None, tokenizer: Any, options: Mapping[str, Any], where: str = "train"
) -> Any:
    """The rows whose lengths in tokens fulfil an expression, as they are.

    Args:
        dataset: one, several by name, or None.
        given: the expression over the names of `expctl.data.token_filter`; None keeps all.
        tokenizer: of the model.
        options: keywords of the chat template.
        where: what the rows are for, for messages.

    Raises:
        ValueError: no row is kept, or the rows cannot be counted.
    """
    if given is None or dataset is None:
        return dataset
    if isinstance(dataset, dict):
        return {name: keep_by_tokens(part, given, tokenizer, options, name) for name, part in dataset.items()}
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise ValueError(f"dataset.{KEY}={given} counts the rows of a datasets.Dataset, and {where} is a {kind}")
    tree = expression.parsed(str(given))
    lengths = [lengths_of(row, tokenizer, options) for row in fit_to_tokenizer(dataset, tokenizer)]
    try:
        kept = [number for number, each in enumerate(lengths) if expression.value(tree, each)]
    except ValueError as error:
        raise ValueError(f"dataset.{KEY}={given}: {error}") from error
    if lengths and not kept:
        whole = [each[WHOLE] for each in lengths]
        raise ValueError(
            f"dataset.{KEY}={given} keeps none of the {len(lengths)} rows ({where}), which have {min(whole)} to "
            f"{max(whole)} tokens as a whole"
        )
    logger.warning("dataset.%s keeps %d of %d rows (%s)", KEY, len(kept), len(lengths), where)
    return dataset if len(kept) == len(lengths) else dataset.select(kept)


def lengths_of(row: Mapping[str, Any], tokenizer: Any, options: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of the parts of a row and, as `whole`, of the longest sequence that the model reads of it.

    Conversations are rendered by the chat template; plain texts end with the token that ends a sequence, as TRL's
    trainers have it.
    """
    own = {**options, **(row.get(OPTIONS_COLUMN) or {})}
    if row.get("messages"):
        return {WHOLE: _rendered(row["messages"], tokenizer, own)}
    if "prompt" not in row and "chosen" not in row:
        return {WHOLE: _tokens(_ended(row.get("text") or "", tokenizer), tokenizer)}
    if "chosen" in row:
        row = {**row, **maybe_extract_prompt(dict(row))}
    prompt = row["prompt"]
    found = {PROMPT: len(of_prompt(prompt, tokenizer, own).ids)}
    wholes = [found[PROMPT]]
    for name in (*ENDS, REFERENCE, "completions"):
        end = row.get(name)
        if end is None or (name == COMPLETION and not end):
            continue
        if name == "completions":  # steps, which TRL joins by line breaks
            name, end = COMPLETION, "\n".join([*end, ""])
        if isinstance(end, list):
            whole = _rendered([*prompt, *end], tokenizer, own)
        else:
            whole = _tokens(_ended(prompt + end, tokenizer), tokenizer)
        found[name] = whole - found[PROMPT]
        wholes.append(whole)
    return found | {WHOLE: max(wholes)}


def _rendered(turns: list[dict[str, Any]], tokenizer: Any, options: Mapping[str, Any]) -> int:
    return len(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True, **options)["input_ids"])


def _tokens(text: str, tokenizer: Any) -> int:
    return len(tokenizer(text=text)["input_ids"])


def _ended(text: str, tokenizer: Any) -> str:
    end = tokenizer.eos_token or ""
    return text if text.endswith(end) else text + end
