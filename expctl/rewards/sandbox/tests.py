"""Inside: tests, which call a solution in another process by its names. They never run a line of it."""

import builtins
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from expctl.rewards.sandbox.wire import ARRAY, ClosedError, Line, array, decode, encode

# What a solution calls by the name of a builtin or of a module is not what the tests mean by it.
TAKEN = frozenset(dir(builtins)) | sys.stdlib_module_names | {"np"}


class SolutionError(Exception):
    """The solution raised what is no exception of Python's own."""


def run(parent: Line, solution: Line, suite: dict[str, Any], packages: list[str]) -> None:
    """Run tests, each told to the parent when it is done.

    Args:
        parent: whoever asked.
        solution: the process of the solution, which has just begun.
        suite: `tests`, sources that raise where the solution is wrong; `setup`, run before them; `entry_point`, the
            function that `check(candidate)` of a test is given, or None.
        packages: names of packages, which are no names of the solution's either.
    """
    peer = Peer(solution)
    names = peer.names()
    taken = TAKEN.union(packages) - {suite["entry_point"]}
    scope = {name: value for name, value in names.items() if name not in taken}
    module = types.ModuleType("solution")
    module.__dict__.update(names)
    sys.modules["solution"] = module
    exec(compile(suite["setup"], "setup.py", "exec"), scope)
    for source in suite["tests"]:
        why = _fault(source, scope, names.get(suite["entry_point"]))
        parent.send({"passed": why is None, "why": why})


def _fault(source: str, scope: dict[str, Any], candidate: Any) -> str | None:
    """What a test found wrong; None where nothing."""
    scope = dict(scope, __name__="tests")
    try:
        exec(compile(source, "tests.py", "exec"), scope)
        if candidate is not None and callable(scope.get("check")):
            scope["check"](candidate)
        for name, function in list(scope.items()):
            if name.startswith("test") and isinstance(function, types.FunctionType):
                function()
    except ClosedError:
        return "the solution ended"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:500].rstrip(": ")
    return None


class Peer:
    """The process of a solution, as its tests see it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._callbacks: list[Callable[..., Any]] = []

    def names(self) -> dict[str, Any]:
        """What the solution defines, once it has run. Raise ClosedError where it did not run to its end."""
        message = self._line.receive()
        if not isinstance(message.get("names"), dict):
            raise ClosedError(f"{message.get('raised')}: {message.get('message')}")
        return {name: self._decoded(node) for name, node in message["names"].items()}

    def ask(self, do: str, of: int | None, name: str | None = None, *args: Any, **keywords: Any) -> Any:
        """Have the solution do something; mutable arguments are left as it leaves them.

        Raises:
            Exception: what it raised, where that is one of Python's own; else SolutionError.
            ClosedError: it has ended.
        """
        request = {"do": do, "of": of, "name": name, "args": [self._encoded(value) for value in args]}
        self._line.send(request | {"keywords": {key: self._encoded(value) for key, value in keywords.items()}})
        reply = self._line.receive()
        while "callback" in reply:
            self._line.send(self._called_back(reply))
            reply = self._line.receive()
        if "raised" in reply:
            raise _exception(str(reply["raised"]), str(reply.get("message")))
        for place, node in reply.get("changed", {}).items():
            _put_into(args[int(place)], self._decoded(node))
        return self._decoded(reply.get("value"))

    def _called_back(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            function = self._callbacks[message["callback"]]
            return {"value": self._encoded(function(*map(self._decoded, message["args"])))}
        except Exception as error:
            return {"raised": type(error).__name__, "message": str(error)[:500]}

    def _encoded(self, value: Any) -> Any:
        return encode(value, self._handle)

    def _handle(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Remote):
            return {"type": "object", "of": object.__getattribute__(value, "_number")}
        if not callable(value):
            raise TypeError(f"a {type(value).__name__} cannot be given to the solution")
        self._callbacks.append(value)
        return {"type": "callback", "of": len(self._callbacks) - 1}

    def _decoded(self, node: Any) -> Any:
        return decode(node, self._resolved)

    def _resolved(self, node: dict[str, Any]) -> Any:
        return array(node) if node.get("type") == ARRAY else Remote(self, int(node["of"]), str(node.get("name")))


class Remote:
    """An object of the solution's own. It equals nothing but what the solution made as well."""

    def __init__(self, peer: Peer, number: int, name: str) -> None:
        for key, value in {"_peer": peer, "_number": number, "_name": name}.items():
            object.__setattr__(self, key, value)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._peer.ask("call", self._number, None, *args, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._peer.ask("get", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.ask("set", self._number, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask("item", self._number, None, key)

    def __len__(self) -> int:
        return int(self._peer.ask("length", self._number))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._peer.ask("iterate", self._number)
        if not isinstance(iterator, Remote):
            raise TypeError(f"a {self._name} cannot be iterated over")
        while True:
            try:
                yield self._peer.ask("next", iterator._number)
            except StopIteration:
                return

    def __str__(self) -> str:
        return str(self._peer.ask("text", self._number))

    def __repr__(self) -> str:
        return str(self._peer.ask("shown", self._number))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._peer.ask("equal", self._number, None, other))

    def __hash__(self) -> int:
        return int(self._number)


def _exception(name: str, message: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        return kind(message)
    return SolutionError(f"{name}: {message}")


def _put_into(argument: Any, value: Any) -> None:
    """Give a mutable argument the content that the solution's copy of it has now."""
    if isinstance(argument, list | bytearray) and isinstance(value, list | bytearray):
        argument[:] = value
    elif isinstance(argument, dict | set) and type(argument) is type(value):
        argument.clear()
        argument.update(value)
