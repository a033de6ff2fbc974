"""The few options that a verb of its own takes beside its words."""

from collections.abc import Collection

from expctl.config.refusal import Refusal
from expctl.config.suggest import nearest


def take(
    words: list[str], *, flags: Collection[str] = (), valued: Collection[str] = (), usage: str
) -> tuple[dict[str, str], list[str]]:
    """Option -> its value (empty for a flag), and the other words. Values follow as the next word or after `=`.

    Raises:
        Refusal: an option that there is none of, or one without its value.
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, given, value = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif name in flags and not given:
            found[name] = ""
        elif name in valued:
            found[name] = value if given else next(left, "")
            if not found[name]:
                raise Refusal(f"{name} needs a value", where=f"{word} (command line)", do=usage)
        else:
            where = f"{word} (command line)"
            raise Refusal(f"no option '{name}'", where=where, nearest=nearest(name, [*flags, *valued]), do=usage)
    return found, rest
