"""Free ports of this machine that stay free until they are used."""

import socket


class NoPortError(OSError):
    """No port of this machine is free."""


class HeldPort:
    """A TCP port that the kernel gives to nobody else until it is closed, and to whom it was promised at any time.

    The port is bound and not listened on. The kernel passes such a port over when it chooses one by itself, and lets a
    server bind it that asks for it by number and allows the reuse of addresses, as torch's rendezvous and uvicorn do.

    Raises:
        NoPortError: in the constructor.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("", 0))
        except OSError as error:
            self._socket.close()
            raise NoPortError(error.errno, "no port of this machine is free for an engine of vLLM") from error
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back; to do it again does nothing."""
        self._socket.close()


def rendezvous_variables(port: HeldPort) -> dict[str, str]:
    """The environment variables that make torch meet at this port of this machine."""
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.number)}
