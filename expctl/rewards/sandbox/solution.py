"""Inside: a solution, whose functions are called over the wire. It knows no test and no expected value."""

import builtins
import sys
import types
from typing import Any

from expctl.rewards.sandbox.wire import ARRAY, ClosedError, Line, array, decode, encode

MUTABLE = (list, dict, set, bytearray)


def serve(line: Line, program: str) -> None:
    """Run a solution and answer calls of what it defines, until the other end is gone."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    server = _Server(line, module)
    try:
        exec(compile(program, "solution.py", "exec"), module.__dict__)
    except BaseException as error:
        line.send({"raised": type(error).__name__, "message": str(error)[:500]})
        return
    names = {name: server.encoded(value) for name, value in vars(module).items() if not name.startswith("__")}
    line.send({"names": names})
    while True:
        try:
            line.send(server.answer(line.receive()))
        except ClosedError:
            return


class _Server:
    """Answers requests on the names of a module and on the objects that were handed out."""

    def __init__(self, line: Line, module: types.ModuleType) -> None:
        self._line = line
        self._module = module
        self._objects: list[Any] = []

    def encoded(self, value: Any) -> Any:
        return encode(value, self._handle)

    def _handle(self, value: Any) -> dict[str, Any]:
        self._objects.append(value)
        return {"type": "object", "of": len(self._objects) - 1, "name": type(value).__name__}

    def _resolved(self, node: dict[str, Any]) -> Any:
        if node.get("type") == ARRAY:
            return array(node)
        if node.get("type") == "object":
            return self._objects[node["of"]]
        number = node["of"]
        return lambda *args: self._call_back(number, args)

    def _call_back(self, number: int, args: tuple[Any, ...]) -> Any:
        """Have the tests call a function of theirs that they gave as an argument."""
        self._line.send({"callback": number, "args": [self.encoded(value) for value in args]})
        reply = self._line.receive()
        if "raised" in reply:
            raise getattr(builtins, reply["raised"], RuntimeError)(reply.get("message"))
        return decode(reply["value"], self._resolved)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The value that was asked for, and the arguments as the call has left them; or what was raised."""
        args = [decode(node, self._resolved) for node in request.get("args", [])]
        try:
            value = self._done(request, args)
            changed = {str(place): self.encoded(arg) for place, arg in enumerate(args) if isinstance(arg, MUTABLE)}
            return {"value": self.encoded(value), "changed": changed}
        except ClosedError:
            raise
        except BaseException as error:
            return {"raised": type(error).__name__, "message": str(error)[:500]}

    def _done(self, request: dict[str, Any], args: list[Any]) -> Any:
        of: Any = self._module if request.get("of") is None else self._objects[request["of"]]
        name = request.get("name")
        if request["do"] == "call":
            keywords = {key: decode(node, self._resolved) for key, node in request.get("keywords", {}).items()}
            return (of if name is None else getattr(of, name))(*args, **keywords)
        if request["do"] == "set":
            return setattr(of, str(name), args[0])
        return OPERATIONS[request["do"]](of, *([name] if name is not None else []), *args)


OPERATIONS: dict[str, Any] = {
    "get": getattr,
    "item": lambda of, key: of[key],
    "length": len,
    "iterate": iter,
    "next": next,
    "text": str,
    "shown": repr,
    "equal": lambda of, other: bool(of == other),
}
