"""What rewards read of a completion."""


def text_of(completion: str | list[dict]) -> str:
    """The text of a completion: the string itself, or the content of its last message ("" where it has none)."""
    if isinstance(completion, str):
        return completion
    return (completion[-1].get("content") or "") if completion else ""
