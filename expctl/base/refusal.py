"""What a refused command says: what is wrong, where it was set, the nearest right name, what to do."""

import re
from collections.abc import Iterable, Mapping, Sequence

# A typed word, or the line of a config file: what only stands there because somebody wrote it.
_SOURCE = re.compile(r"\(command line\)|\.ya?ml:\d+")


class Refusal(Exception):  # noqa: N818 - what the command says, no failure of it
    """A command that cannot work, reported in a few lines.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: what set it, `args.learning_rat=1e-5 (command line)` or `args.beta (mine.yaml:3)`; else the key, file
            or folder that it is about.
        nearest: right names that are close to the wrong one, best first.
        do: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", nearest: Iterable[str] = (), do: str = ""):
        super().__init__(what)
        self.what = what
        self.where = where
        self.nearest = list(nearest)
        self.do = do

    def __str__(self) -> str:
        lines = [f"expctl: {self.what}"]
        origin = "set by" if _SOURCE.search(self.where) else "where"
        for label, text in ((origin, self.where), ("nearest", ", ".join(self.nearest)), ("do", self.do)):
            if text:
                lines.append(f"  {label:<8} {text}")
        return "\n".join(lines)


def where_set(key: str, sources: Mapping[str, str], locations: Mapping[str, str] | None = None) -> str:
    """What set `key`, for the `where` of a refusal; of a key that nobody set, only the key.

    Args:
        key: a dotted key.
        sources: dotted key -> the word that set it. A word for a key above it sets it too.
        locations: dotted key -> the file and line that set it, where no word did.
    """
    above = key
    while above and above not in sources:
        above = above.rpartition(".")[0]
    source = sources.get(above) or (locations or {}).get(key)
    if source is None:
        return key
    return source if key in source else f"{key} ({source})"


def as_refusals(wrong: Sequence[Mapping[str, str]], sources: Mapping[str, str]) -> list[Refusal]:
    """What a worker found wrong. `wrong`: dicts of `what`, `key` and `do`; `sources`: what set each key."""
    refusals = []
    for each in wrong:
        where = where_set(each["key"], sources) if each["key"] else ""
        refusals.append(Refusal(each["what"], where=where, do=each["do"]))
    return refusals
