"""What the values of a composed config are made of: the typed word behind each, and typed keys that none is made of."""

import re
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf

from expctl.base.plain_data import leaves

# An interpolation that has no other in it.
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")


class Interpolated:
    """The interpolations of a composed config.

    Args:
        composed: the config, not yet resolved.
        sources: dotted key -> the word that set it.
        dropped: beginnings of keys that only others are made of.
    """

    def __init__(self, composed: DictConfig, sources: dict[str, str], dropped: tuple[str, ...]) -> None:
        self._composed = composed
        self._sources = sources
        self._dropped = dropped
        self._written = dict(leaves(OmegaConf.to_container(composed, resolve=False)))

    def words_behind(self) -> dict[str, str]:
        """Dotted key -> the word that its value is made of, of the keys that no word sets themselves."""
        if not self._sources:
            return {}
        found = {key: self._word_behind(key) for key in self._written if not self._typed(key)}
        return {key: word for key, word in found.items() if word}

    def idle(self) -> list[str]:
        """The typed keys, of those that only others are made of, that no other is made of."""
        typed = [key for key in self._sources if self._is_dropped(key)]
        return [key for key in typed if not any(f"{name}.".startswith(f"{key}.") for name in self._read)]

    @cached_property
    def _read(self) -> set[str]:
        """The dropped keys that a key which is kept is made of, directly or through others."""
        waiting = [key for key in self._written if not self._is_dropped(key)]
        read: set[str] = set()
        while waiting:
            for name in self._named_in(waiting.pop()):
                below = [key for key in self._written if f"{key}.".startswith(f"{name}.")]
                if not self._is_dropped(name):  # a node that is kept is taken without what is dropped of it
                    below = [key for key in below if not self._is_dropped(key)]
                waiting += [key for key in below if key not in read]
                read.update(below)
        return read

    def _is_dropped(self, key: str) -> bool:
        return f"{key}.".startswith(self._dropped)

    def _word_behind(self, key: str) -> str:
        """The word of the first key in the value of `key`, and in those of the keys in it, that a word set."""
        for name in self._named_in(key):
            if word := self._typed(name) or self._word_behind(name):
                return word
        return ""

    def _typed(self, key: str) -> str:
        """The word that set a key, or one above it."""
        while key and key not in self._sources:
            key = key.rpartition(".")[0]
        return self._sources.get(key, "")

    def _named_in(self, key: str) -> list[str]:
        """The keys that the interpolations in the value of a key name, the outermost first."""
        text, names = str(self._written.get(key, "")), list[str]()
        while innermost := _INNERMOST.search(text):
            resolver, _, arguments = innermost[1].rpartition(":")
            name, value = arguments.split(",")[0], self._value(resolver, arguments)
            if value is not None:
                names = [*([] if resolver else names), name]  # what follows an argument that is there is not asked
            text = text[: innermost.start()] + str(value) + text[innermost.end() :]
        return names[::-1]

    def _value(self, resolver: str, arguments: str) -> Any:
        """The value that an interpolation names, empty for a node; None for one that only computes."""
        if resolver not in ("", "oc.select"):
            return None
        value = OmegaConf.select(self._composed, arguments.split(",")[0], throw_on_resolution_failure=False)
        return "" if OmegaConf.is_config(value) else value
