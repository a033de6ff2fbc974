"""What a refused command says: what is wrong, where it was set, the nearest right name, what to do."""

from collections.abc import Iterable


class Refusal(Exception):  # noqa: N818 - what the command says, no failure of it
    """A command that cannot work, told in a few lines.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: the key and how it was set, for example `args.learning_rat=1e-5`.
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
        for label, text in (("set by", self.where), ("nearest", ", ".join(self.nearest)), ("do", self.do)):
            if text:
                lines.append(f"  {label:<8} {text}")
        return "\n".join(lines)


def set_by(key: str, sources: dict[str, str]) -> str:
    """How `key` was set: by the source of the key itself or of the nearest key above it, else only the key."""
    above = key
    while above and above not in sources:
        above = above.rpartition(".")[0]
    source = sources.get(above, "")
    return source if key in source else f"{key} ({source})" if source else key
