"""The options that a verb takes beside its words."""

from collections.abc import Collection

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest


def take(
    words: list[str],
    *,
    flags: Collection[str] = (),
    valued: Collection[str] = (),
    listed: Collection[str] = (),
    usage: str,
    hydra: bool = False,
) -> tuple[dict[str, str], list[str]]:
    """Option -> its value (empty for a flag), and the other words. Values follow as the next word or after `=`.

    Args:
        listed: options that may come several times; their values are joined by commas. Else the last one counts.
        hydra: the other words are Hydra's: an option that is not known stays among them.

    Raises:
        Refusal: an unknown option, or one without its value.
    """
    options: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, given, value = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif name in flags and not given:
            options[name] = ""
        elif name in valued or name in listed:
            value = value if given else next(left, "")
            if not value:
                raise Refusal(f"{name} needs a value", where=f"{word} (command line)", do=usage)
            is_more = name in listed and name in options
            options[name] = f"{options[name]},{value}" if is_more else value
        elif hydra:
            rest.append(word)
        else:
            known = [*flags, *valued, *listed]
            raise Refusal(f"no option '{name}'", where=f"{word} (command line)", nearest=nearest(name, known), do=usage)
    return options, rest
