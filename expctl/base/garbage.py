"""How often Python looks for garbage: seldom while a command composes and checks, as it is used to while it trains."""

import gc

_USUAL = gc.get_threshold()


def collect_rarely() -> None:
    """Nearly all objects of a command live as long as it: looking through them takes a tenth of its time.

    A check makes some 110,000. A command that goes on, as a sweep does, looks for garbage as it makes more.
    """
    gc.set_threshold(300_000)


def leave_garbage() -> None:
    """Have Python not look for garbage as a command ends: its memory goes anyway, and looking takes its time.

    After a training it looks, since what libraries left may have to be closed.
    """
    if gc.get_threshold() != _USUAL:
        gc.freeze()


def collect_as_usual() -> None:
    """A training leaves garbage that holds memory of the device."""
    gc.set_threshold(*_USUAL)
