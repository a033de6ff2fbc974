"""Conversations and plain texts: from one to the other, as the data and the model's tokenizer need."""

from collections.abc import Iterable

from datasets import Dataset

TEXT_COLUMNS = ("prompt", "completion", "chosen", "rejected")
_ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}


def to_conversation(table: Dataset, columns: Iterable[str]) -> Dataset:
    """Plain texts of `columns` as one turn each: the prompt the user's, all others the assistant's."""

    def convert(row: dict) -> dict:
        return {
            name: [{"role": "user" if name == "prompt" else "assistant", "content": row[name]}]
            for name in columns
            if isinstance(row[name], str)
        }

    return table.map(convert, keep_in_memory=True)


def fit_to_tokenizer(dataset: Dataset, tokenizer) -> Dataset:
    """The dataset as this tokenizer can take it: conversations become plain text where it has no chat template.

    A base model then sees a transcript that ends where the assistant is to speak; completions begin with a space:

        User: What is 2 + 3?
        Assistant: 5

    Args:
        dataset: with any of the columns `prompt`, `completion`, `chosen`, `rejected`.
        tokenizer: of the model that is trained.

    Returns:
        `dataset` itself where nothing has to change.
    """
    present = [name for name in TEXT_COLUMNS if name in dataset.column_names]
    conversational = [name for name in present if len(dataset) and isinstance(dataset[0][name], list)]
    if tokenizer.chat_template is not None or not conversational:
        return dataset

    def flatten(row: dict) -> dict:
        return {
            name: prompt_text(row[name]) if name == "prompt" else completion_text(row[name]) for name in conversational
        }

    # A column cannot change its type in place, so the old ones are taken out.
    flat = dataset.map(flatten, remove_columns=conversational, keep_in_memory=True)
    return flat.select_columns(dataset.column_names)


def prompt_text(messages: list[dict]) -> str:
    """A transcript of the messages, ready to be continued by the assistant."""
    turns = [f"{_ROLES.get(message['role'], message['role'])}: {message['content']}\n" for message in messages]
    return "".join(turns) + "Assistant:"


def completion_text(messages: list[dict]) -> str:
    """What the assistant says after `prompt_text`."""
    return " " + "\n".join(message["content"] for message in messages)
