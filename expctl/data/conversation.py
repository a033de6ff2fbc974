"""Conversations and plain texts, as the model's tokenizer needs them."""

from collections.abc import Callable, Iterator
from typing import Any

from datasets import Dataset, IterableDataset, Value
from transformers import PreTrainedTokenizerBase

from expctl.data.turns import Turn, plain_turns

TEXT_COLUMNS = ("prompt", "completion", "chosen", "rejected", "reference")
# Where TRL's trainers find keywords of the chat template for a row.
OPTIONS_COLUMN = "chat_template_kwargs"
_ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}


def fit_to_tokenizer(
    dataset: Any, tokenizer: PreTrainedTokenizerBase, template_options: dict[str, Any] | None = None
) -> Any:
    """The dataset as this tokenizer can take it: conversations become plain text where it has no chat template.

    A base model then sees a transcript that ends where the assistant is to speak; completions begin with a space:

        User: What is 2 + 3?
        Assistant: 5

    Content in parts (`[{"type": "text", "text": ...}]`) becomes one text, ShareGPT's keys become role and content.

    Args:
        dataset: with any of the columns `TEXT_COLUMNS`; several by name; or one that is
            streamed, of which only the first row is looked at before training.
        tokenizer: of the model that is trained.
        template_options: keywords of the chat template for every row, which TRL's trainers take from the column
            `chat_template_kwargs`; a row's own count more.

    Returns:
        `dataset` itself where nothing has to change.

    Raises:
        ValueError: content that is no text, or a conversation that the chat template refuses; names row and column.
    """
    if isinstance(dataset, dict):
        return {name: fit_to_tokenizer(part, tokenizer, template_options) for name, part in dataset.items()}
    if isinstance(dataset, IterableDataset):
        return _streamed(dataset, tokenizer, template_options or {})
    if not isinstance(dataset, Dataset):
        return dataset  # a loader's own class, which the trainer has to read
    present = [name for name in TEXT_COLUMNS if name in dataset.column_names]
    conversational = [name for name in present if len(dataset) and isinstance(dataset[0][name], list)]
    if not conversational:
        return dataset
    if tokenizer.chat_template is None:
        return _rewritten(dataset, conversational, _as_text)
    if not all(_has_plain_turns(dataset.features[name]) for name in conversational):
        dataset = _rewritten(dataset, conversational, lambda name, turns: turns)
    _check_template(dataset, conversational, tokenizer)
    if template_options:
        dataset = dataset.map(lambda row: _with_options(row, template_options), keep_in_memory=True)
    return dataset


def _with_options(row: dict[str, Any], template_options: dict[str, Any]) -> dict[str, Any]:
    """The row with keywords of the chat template beside it."""
    return row | {OPTIONS_COLUMN: template_options | (row.get(OPTIONS_COLUMN) or {})}


def _streamed(
    dataset: IterableDataset, tokenizer: PreTrainedTokenizerBase, template_options: dict[str, Any]
) -> IterableDataset:
    """The same for a stream, row by row as it comes; its first row tells the form of all."""
    first: dict[str, Any] = next(iter(dataset), {})
    conversational = [name for name in TEXT_COLUMNS if isinstance(first.get(name), list)]
    if not conversational:
        return dataset
    has_template = tokenizer.chat_template is not None

    def rewrite(row: dict[str, Any], index: int) -> dict[str, Any]:
        conversations = {name: _turns_of(row[name], name, index + 1) for name in conversational}
        if has_template:
            told = _with_options(row, template_options) if template_options else row
            return told | conversations
        return row | {name: _as_text(name, turns) for name, turns in conversations.items()}

    if has_template:
        _check_template(Dataset.from_list([rewrite(first, 0)]), conversational, tokenizer)
    return dataset.map(rewrite, with_indices=True)


def prompt_text(messages: list[Turn]) -> str:
    """A transcript of the messages, ready to be continued by the assistant."""
    turns = [f"{_ROLES.get(message['role'], message['role'])}: {message['content']}\n" for message in messages]
    return "".join(turns) + "Assistant:"


def completion_text(messages: list[Turn]) -> str:
    """What the assistant says after `prompt_text`."""
    return " " + "\n".join(message["content"] for message in messages)


def _as_text(name: str, turns: list[Turn]) -> str:
    return prompt_text(turns) if name == "prompt" else completion_text(turns)


def _rewritten(dataset: Dataset, columns: list[str], convert: Callable[[str, list[Turn]], Any]) -> Dataset:
    """The dataset with `convert(column, plain turns)` in place of the conversations of `columns`."""

    def rewrite(row: dict[str, Any], index: int) -> dict[str, Any]:
        return {name: convert(name, _turns_of(row[name], name, index + 1)) for name in columns}

    # A column cannot change its type in place, so the old ones are taken out.
    rewritten = dataset.map(rewrite, with_indices=True, remove_columns=columns, keep_in_memory=True)
    return rewritten.select_columns(dataset.column_names)


def _turns_of(cell: Any, name: str, row: int) -> list[Turn]:
    try:
        return plain_turns(cell)
    except ValueError as error:
        raise ValueError(f"column '{name}' of row {row}: {error}.") from error


def _has_plain_turns(feature: Any) -> bool:
    turn = getattr(feature, "feature", None)
    plain = {"role": Value("string"), "content": Value("string")}
    return isinstance(turn, dict) and "from" not in turn and plain.items() <= turn.items()


def _check_template(dataset: Dataset, columns: list[str], tokenizer: PreTrainedTokenizerBase) -> None:
    """Render one conversation of every order of roles: whether a template refuses one depends on its roles."""
    render = getattr(tokenizer, "apply_chat_template", None)
    if render is None:
        return
    for number, conversation in _one_of_each_order(dataset, columns):
        try:
            render(conversation, tokenize=False)
        except Exception as error:  # of Jinja, or whatever the template calls
            roles = ", ".join(turn["role"] for turn in conversation)
            raise ValueError(
                f"row {number}: the model's chat template refuses a conversation of {roles}: {error}. Write it as the "
                "template wants it (a system turn's text may begin the user's), or choose a model with another one."
            ) from error


def _one_of_each_order(dataset: Dataset, columns: list[str]) -> Iterator[tuple[int, list[Turn]]]:
    """The first row of each order of roles, with its number: a prompt and what follows it as one conversation."""
    seen = set()
    prompts = dataset["prompt"] if "prompt" in columns else [[]] * len(dataset)
    for name in [name for name in columns if name != "prompt"] or ["prompt"]:
        for number, (prompt, cell) in enumerate(zip(prompts, dataset[name], strict=True), 1):
            conversation = cell if name == "prompt" else [*prompt, *cell]
            order = tuple(turn["role"] for turn in conversation)
            if order not in seen:
                seen.add(order)
                yield number, conversation
