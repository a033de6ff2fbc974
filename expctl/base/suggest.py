"""Did you mean: the nearest right names of a wrong one."""

import re
from collections.abc import Iterable

CUTOFF = 0.65  # one letter wrong in a name of four scores 0.75, two 0.5


def nearest(name: str, known: Iterable[str], limit: int = 4) -> list[str]:
    """The names in `known` that `name` may have meant, best first; empty where nothing comes close.

    Case and separators do not count (`LearningRate` is `learning_rate`); an abbreviation by initials (`lr`), a leading
    part (`temp`) and a part between separators (`batch_size`) count as close, besides plain misspelling.
    """
    # Between equals the first letter decides as it is typed: a module is lower case, a class is not.
    scored = [(closeness(name, other), name[:1] == other[:1], other) for other in sorted(set(known))]
    close = [match for match in scored if match[0] >= CUTOFF]
    close.sort(key=lambda match: match[:2], reverse=True)
    # A name that is far behind the best one is noise, not help.
    return [other for score, _, other in close if score >= close[0][0] - 0.15][:limit]


def closeness(name: str, other: str) -> float:
    """How close two names are, 0 to 1."""
    plain, other_plain = _plain(name), _plain(other)
    if plain == other_plain:
        return 1.0
    if sorted(plain) == sorted(other_plain):  # swapped letters
        return 0.95
    if len(plain) >= 2 and plain == "".join(word[0] for word in _words(other)):
        return 0.9
    share = min(len(plain), len(other_plain)) / max(len(plain), len(other_plain), 1)
    if min(len(plain), len(other_plain)) >= 3 and _contains(name, other):
        return 0.75 + 0.2 * share
    from difflib import SequenceMatcher  # here, since few commands are misspelled

    return SequenceMatcher(None, plain, other_plain, autojunk=False).ratio()


def _contains(name: str, other: str) -> bool:
    """Whether the words of one name stand in a row in the other, the last one perhaps cut short."""
    shorter, longer = sorted((_words(name), _words(other)), key=lambda words: len("".join(words)))
    text = "_" + "_".join(longer) + "_"
    return bool(shorter) and "_" + "_".join(shorter) in text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> list[str]:
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", separated.lower()) if word]
