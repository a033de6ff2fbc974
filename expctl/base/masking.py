"""Mask secrets of the environment, known by the names of their variables, in everything that a run writes."""

import os
import re
from collections.abc import Mapping

_SECRET = re.compile(r"KEY|TOKEN(?!IZERS_)|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH(?!OR)", re.IGNORECASE)
# user:password@ of a URL, and the parameters of one that are called like a secret.
_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=[?&])([\w-]*(?:key|token|secret|password|auth)[\w-]*=)[^&\s]+", re.I)
MASK = "***"
# A shorter value is a flag or a number, and would be masked all over a text that has nothing to do with it.
SHORTEST = 8


def is_secret(name: str) -> bool:
    """Whether the name of a variable is that of a secret."""
    return _SECRET.search(name) is not None


def secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Secret value -> the variable that holds it, the longest first; of several lines each is one.

    A variable that only says in which file a secret lies holds none.
    """
    variables = os.environ if environment is None else environment
    by_value: dict[str, str] = {}
    for name, value in variables.items():
        if is_secret(name) and not os.path.exists(value):
            by_value |= {line.strip(): name for line in value.splitlines() if len(line.strip()) >= SHORTEST}
    return dict(sorted(by_value.items(), key=lambda item: -len(item[0])))


def masked(text: str) -> str:
    """The text with each secret replaced by the name of its variable."""
    for value, name in secrets().items():
        text = text.replace(value, f"<{name}>")
    return text


def masked_bytes(content: bytes) -> bytes:
    """Like `masked`, for content in whatever encoding."""
    for value, name in secrets().items():
        content = content.replace(value.encode(errors="surrogateescape"), f"<{name}>".encode())
    return content


def shown(name: str, value: str) -> str:
    """The value of a variable as it may be written: a secret and the credentials in a URL are masked."""
    if is_secret(name):
        return MASK
    return _IN_URL.sub(lambda match: (match[1] or "") + MASK, masked(value))
