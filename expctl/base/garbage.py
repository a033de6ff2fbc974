"""How often Python looks for garbage: seldom while a command composes and checks, as it is used to while it trains."""

import gc

_USUAL = gc.get_threshold()


def collect_rarely() -> None:
    """Nearly all objects of a command live as long as it: looking through them takes a tenth of its time."""
    gc.set_threshold(100_000)


def collect_as_usual() -> None:
    """A training leaves garbage that holds memory of the device."""
    gc.set_threshold(*_USUAL)
