"""A warning that a library gives again and again is written once, and at the end how often it came.

transformers says three times a step that `gradient_checkpointing_enable` is deprecated: such a log hides the rest.
"""

import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

# Logger or category, and text.
Said = tuple[str, str]


class RepeatedWarnings(logging.Filter):
    """Lets the first of equal warnings pass, of `logging` and of `warnings`, and counts the others.

    Equal are warnings of one logger, or of one category, with the same text. Errors always pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: Counter[Said] = Counter()
        self._show = warnings.showwarning

    def install(self) -> None:
        """Take effect in every handler that there is by now; a handler that comes later repeats what it likes."""
        for handler in _handlers():
            handler.addFilter(self)
        # Python forgets what it has shown whenever somebody changes the filters, as torch does in every step.
        self._show = warnings.showwarning
        warnings.showwarning = self._show_once

    def uninstall(self) -> None:
        """Take no effect any more."""
        for handler in _handlers():
            handler.removeFilter(self)
        warnings.showwarning = self._show

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written."""
        return record.levelno != logging.WARNING or self._is_first((record.name, record.getMessage()), record)

    def report(self) -> None:
        """Write to stderr what was left out."""
        for (_, text), times in self._seen.items():
            if times > 1:
                often = "once more" if times == 2 else f"{times - 1:,} more times"
                print(f"expctl: {often}: {' '.join(text.split())[:300]}", file=sys.stderr)
        self._seen.clear()

    def _is_first(self, said: Said, record: logging.LogRecord | None = None) -> bool:
        # Each of several handlers asks about the same record.
        if record is not None and hasattr(record, "is_first"):
            return bool(record.is_first)
        self._seen[said] += 1
        is_first = self._seen[said] == 1
        if record is not None:
            record.is_first = is_first
        return is_first

    def _show_once(self, message: Warning | str, category: type[Warning], *where: Any, **named: Any) -> None:
        if self._is_first((category.__name__, str(message))):
            self._show(message, category, *where, **named)


def _handlers() -> Iterator[logging.Handler]:
    """The handlers of all loggers, each once, and the one that Python falls back on."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    known = [handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers]
    if logging.lastResort is not None:
        known.append(logging.lastResort)
    yield from dict.fromkeys(known)
