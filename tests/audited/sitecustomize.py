"""On the PYTHONPATH of a command: every Python process of it notes what it looks up and connects to, but this machine.

A line of the file that NETWORK_AUDIT names is a process, an event and its arguments. With NETWORK_AUDIT_WAITS a process
ends after what it has queued for the hub's telemetry is sent, or a minute later.
"""

import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr")
CONNECTIONS = ("socket.connect", "socket.sendto")
HERE = ("localhost", "127.", "::1", "0.0.0.0", "::", "ip6-localhost")


def leaves_the_machine(event: str, arguments: tuple) -> bool:
    if event in LOOK_UPS:
        return not is_here(arguments[0])
    if event in CONNECTIONS:
        address = arguments[1]
        return isinstance(address, tuple) and not is_here(address[0])  # a path is a socket of this machine
    return False


def is_here(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name is None or name == "" or str(name).startswith(HERE) or name == os.uname().nodename


def note(event: str, arguments: tuple) -> None:
    if event.startswith("socket.") and leaves_the_machine(event, arguments):
        with open(os.environ["NETWORK_AUDIT"], "a") as file:
            file.write(f"{os.getpid()} {sys.argv[:3]} {event} {arguments!r}\n")


def wait_for_telemetry() -> None:
    telemetry = sys.modules.get("huggingface_hub.utils._telemetry")
    until = time.monotonic() + 60
    while telemetry and telemetry._TELEMETRY_QUEUE.unfinished_tasks and time.monotonic() < until:
        time.sleep(0.05)


def leave(code: int, leave_now: Callable[[int], None] = os._exit) -> None:
    wait_for_telemetry()
    leave_now(code)


if "NETWORK_AUDIT" in os.environ:
    sys.addaudithook(note)
if "NETWORK_AUDIT_WAITS" in os.environ:
    os._exit = leave  # a worker ends by it, and by nothing that atexit sees
paths = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
if spec := importlib.machinery.PathFinder.find_spec("sitecustomize", paths):
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
