"""A worker whose engine binds its port when another does: `engine_rank.py READY GO`, the paths of two files."""

import os
import socket
import sys
import time
from pathlib import Path

from expctl.worker import engine


def listening(**_):
    """An engine that binds its port, as torch's rendezvous does."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", int(os.environ["MASTER_PORT"])))
    server.listen()
    return server


def main(ready: Path, go: Path) -> None:
    ready.touch()
    while not go.exists():
        time.sleep(0.001)
    config = {"seed": 0, "args": {"use_vllm": True}, "hardware": {"use_cpu": True}}
    server = engine.start_engine(listening, config)
    print("port", server.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
