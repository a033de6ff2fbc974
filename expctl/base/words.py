"""The words of a command that set something: `args.beta=0.1`, `+algorithm/ratio=sequence`, `~callbacks`."""


def key_of(word: str) -> str:
    """The key or group that a word sets, as it was typed."""
    return word.lstrip("+~").partition("=")[0]


def dotted_key_of(word: str) -> str:
    """The same with dots: the group `algorithm/ratio` is set at `algorithm.ratio`."""
    return key_of(word).replace("/", ".")


def counted(number: int, noun: str, several: str = "") -> str:
    """`1 process`, `2 processes`: a number with its noun, of which `several` is the plural where it is no plain s."""
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"
