"""Values as lines of JSON, between a solution and its tests: plain values as copies, all others as handles.

What comes over the wire is made anew of builtins alone, so nothing that a solution returns can compare as it pleases.
"""

import importlib
import json
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO

LONGEST_LINE = 16 << 20  # bytes
COLLECTIONS = (tuple, set, frozenset, deque)
PLAIN = (bool, float, str, type(None))
LARGEST_PLAIN = 2**63
# Standard types whose equality asks for the same type -> the attributes that make one again. Imported when they come.
KNOWN: dict[tuple[str, str], tuple[str, ...]] = {
    ("builtins", "range"): ("start", "stop", "step"),
    ("fractions", "Fraction"): ("numerator", "denominator"),
    ("datetime", "timedelta"): ("days", "seconds", "microseconds"),
    ("datetime", "date"): ("year", "month", "day"),
    ("datetime", "time"): ("hour", "minute", "second", "microsecond"),
    ("datetime", "datetime"): ("year", "month", "day", "hour", "minute", "second", "microsecond"),
}
DECIMAL = ("decimal", "Decimal")  # of its text
ARRAY, NUMBERS = "array", "biufc"  # of numpy: the type of a node, and the kinds of its elements that are sent

Handle = Callable[[Any], dict[str, Any]]
Resolve = Callable[[dict[str, Any]], Any]


class ClosedError(Exception):
    """The other end is gone, or said what is no message."""


class Line:
    """Messages, a line of JSON each, over two pipes."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raise ClosedError where nobody can read it."""
        try:
            self._outgoing.write(json.dumps(message).encode() + b"\n")
            self._outgoing.flush()
        except OSError as error:
            raise ClosedError(str(error)) from error

    def receive(self) -> dict[str, Any]:
        """Wait for a message. Raise ClosedError where none comes."""
        line = self._incoming.readline(LONGEST_LINE)
        return parsed(line)


def parsed(line: bytes) -> dict[str, Any]:
    """The message of a line. Raise ClosedError where it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ClosedError("no message") from error
    if not isinstance(message, dict):
        raise ClosedError("no message")
    return message


def encode(value: Any, handle: Handle) -> Any:
    """A value as JSON; `handle` makes one of what is no plain value."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if abs(value) < LARGEST_PLAIN else {"type": "int", "of": hex(value)}
    if isinstance(value, list):
        return [encode(item, handle) for item in value]
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, dict):
        pairs = [[encode(key, handle), encode(item, handle)] for key, item in value.items()]
        return {"type": "dict", "of": pairs}
    if isinstance(value, COLLECTIONS):
        name = next(kind.__name__ for kind in COLLECTIONS if isinstance(value, kind))
        return {"type": name, "of": [encode(item, handle) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {"type": type(value).__name__, "of": value.hex()}
    if isinstance(value, complex):
        return {"type": "complex", "of": [value.real, value.imag]}
    kind_of = (type(value).__module__, type(value).__name__)
    if kind_of[0] == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") in NUMBERS:
        if kind_of[1] == "ndarray":
            return {"type": ARRAY, "of": encode(value.tolist(), handle), "dtype": value.dtype.str}
        return encode(value.item(), handle)
    if kind_of == DECIMAL:
        return {"type": list(kind_of), "of": [str(value)]}
    if kind_of in KNOWN and getattr(value, "tzinfo", None) is None:
        return {"type": list(kind_of), "of": [encode(getattr(value, name), handle) for name in KNOWN[kind_of]]}
    return handle(value)


def array(node: dict[str, Any]) -> Any:
    """The array of numpy that a node stands for. Raise ClosedError where it is none, or numpy is not there."""
    if "numpy" not in sys.modules:
        raise ClosedError("no numpy")
    numpy = sys.modules["numpy"]
    try:
        made = numpy.array(decode(node.get("of"), _no_handle), dtype=str(node.get("dtype")))
    except (TypeError, ValueError, OverflowError) as error:
        raise ClosedError("no such array") from error
    if made.dtype.kind not in NUMBERS:
        raise ClosedError("no array of numbers")
    return made


def _no_handle(node: dict[str, Any]) -> Any:
    raise ClosedError("no number")


def decode(node: Any, resolve: Resolve) -> Any:
    """The value of a JSON node; `resolve` makes one of what is no plain value.

    Raises:
        ClosedError: it is no such node.
    """
    if isinstance(node, list):
        return [decode(item, resolve) for item in node]
    if not isinstance(node, dict):
        return node
    kind, of = node.get("type"), node.get("of")
    try:
        if kind == "int":
            return int(of, 16)  # type: ignore[arg-type] # what is no text raises
        if kind == "dict":
            return {decode(key, resolve): decode(item, resolve) for key, item in of}  # type: ignore[union-attr]
        if kind in ("tuple", "set", "frozenset", "deque"):
            makers: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
            return makers[str(kind)](decode(item, resolve) for item in of)  # type: ignore[union-attr]
        if kind in ("bytes", "bytearray"):
            made = bytes.fromhex(str(of))
            return made if kind == "bytes" else bytearray(made)
        if kind == "complex":
            return complex(*of)  # type: ignore[misc]
        if isinstance(kind, list):
            return _known(kind)(*(decode(item, resolve) for item in of))  # type: ignore[union-attr]
    except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise ClosedError("no such value") from error
    return resolve(node)


def _known(kind: list[Any]) -> Callable[..., Any]:
    """A type of `KNOWN`. Raise ValueError for any other."""
    module, name = kind
    if (module, name) != DECIMAL and (module, name) not in KNOWN:
        raise ValueError(f"no type {module}.{name}")
    made: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return made
