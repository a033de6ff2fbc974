"""`python -m expctl.launch.engine_guard COMMAND ...`: run a server, and end it with all that it started when told to.

A server of vLLM that is told to leave while it starts goes on starting, and one that is killed may leave its engine. So
the kernel tells this process of its parent's death, and it ends the group that it leads, itself included.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import NoReturn

from expctl.base.parent_death import exit_with_parent

# How long the server may take to leave by itself: it gives shared memory back.
LEAVE_SECONDS = 8.0


class _Told(BaseException):
    """SIGTERM has come."""


def main(command: list[str]) -> int:
    """Run the command; its exit code. A signal that ended it ends this process as well."""
    server = subprocess.Popen(command, preexec_fn=exit_with_parent(os.getpid()))
    # Until here SIGTERM ends this process, and by its death the server, which has no handler yet either.
    signal.signal(signal.SIGTERM, _tell)
    try:
        code = server.wait()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except _Told:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(LEAVE_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)
        raise
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


def _tell(*_: object) -> NoReturn:
    raise _Told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
