"""A plain value as Hydra's grammar reads it on the command line."""

from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

# Words that Hydra takes for another type than text.
NOT_TEXT = ("null", "true", "false", "inf", "nan")


def literal(value: Any) -> str:
    """The text that Hydra reads as this value: a word without quotes where it is simple, else in single ones."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(literal, value)) + "]"
    if isinstance(value, str):
        letters = value.replace("_", "").replace("/", "").replace(".", "")
        is_simple = letters.isalpha() and letters.isascii() and value.lower() not in NOT_TEXT
        return value if is_simple else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value)
