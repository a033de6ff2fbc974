"""`dataset.filter_tokens`: which rows are used, by their lengths in tokens. Torch-free: the worker counts them.

The lengths have the names under which `expctl data` shows them.
"""

from collections.abc import Mapping
from typing import Any

from expctl.base.data_kinds import (
    MESSAGES,
    PREFERENCE,
    PRIVILEGED,
    PROMPT_COMPLETION,
    PROMPT_ONLY,
    STEPWISE,
    TEXT,
    TRIPLE_PREFERENCE,
    UNPAIRED_PREFERENCE,
)
from expctl.data import expression

KEY = "filter_tokens"
# What an expression may look at: tokens of a part of the row, of all that the model reads of it at once.
PROMPT, COMPLETION, CHOSEN, REJECTED, REFERENCE, WHOLE = (
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "reference",
    "whole",
)
NAMES = (PROMPT, COMPLETION, CHOSEN, REJECTED, REFERENCE, WHOLE)
OF_KIND = {
    PROMPT_ONLY: (PROMPT, WHOLE),
    PRIVILEGED: (PROMPT, WHOLE),
    PROMPT_COMPLETION: (PROMPT, COMPLETION, WHOLE),
    UNPAIRED_PREFERENCE: (PROMPT, COMPLETION, WHOLE),
    STEPWISE: (PROMPT, COMPLETION, WHOLE),
    PREFERENCE: (PROMPT, CHOSEN, REJECTED, WHOLE),
    TRIPLE_PREFERENCE: (PROMPT, CHOSEN, REJECTED, REFERENCE, WHOLE),
    MESSAGES: (WHOLE,),
    TEXT: (WHOLE,),
}


def check_token_filter(dataset: Mapping[str, Any], kind: str) -> None:
    """Refuse an expression that cannot be read, looks at other lengths than rows of `kind` have, or at a stream.

    Raises:
        ValueError: begins with the key; a second line says what to do.
    """
    given = dataset.get(KEY)
    if given is None:
        return
    try:
        names = expression.columns_of(expression.parsed(str(given)))
    except ValueError as error:
        raise ValueError(f"dataset.{KEY}={given}: {error}.") from error
    known = OF_KIND.get(kind, NAMES)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"dataset.{KEY}={given}: '{unknown[0]}' is no length of {kind} data.\n"
            f"Their lengths in tokens are {', '.join(known)}; dataset.filter looks at columns"
        )
    if not names:
        raise ValueError(f"dataset.{KEY}={given} looks at no length.\nOne is prompt: dataset.{KEY}='prompt <= 512'")
    if dataset.get("streaming"):
        raise ValueError(
            f"dataset.{KEY} counts the tokens of every row before the training, and a stream has no end.\n"
            "Leave dataset.streaming out, or filter by characters: dataset.filter='len(prompt) < 2000'"
        )
