"""A port that is held is given to nobody else, and to whom it was promised."""

import datetime
import errno
import socket

import pytest
from torch.distributed import TCPStore

from expctl.base.ports import HeldPort, NoPortError, rendezvous_variables


def test_no_two_that_are_held_are_the_same_and_the_kernel_gives_none_of_them_out():
    held = [HeldPort() for _ in range(200)]
    numbers = {port.number for port in held}
    assert len(numbers) == 200
    for _ in range(2000):
        with socket.socket() as other:
            other.bind(("", 0))
            assert other.getsockname()[1] not in numbers
    for port in held:
        port.close()


def test_torchs_rendezvous_binds_a_port_that_is_held():
    port = HeldPort()
    variables = rendezvous_variables(port)
    assert variables == {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.number)}
    timeout = datetime.timedelta(seconds=60)
    store = TCPStore("127.0.0.1", port.number, is_master=True, timeout=timeout, wait_for_workers=False)
    store.set("key", "value")
    assert store.get("key") == b"value"
    port.close()


def test_a_closed_port_is_free_again():
    port = HeldPort()
    port.close()
    with socket.socket() as other:
        other.bind(("", port.number))


def test_where_no_port_is_free_it_is_said(monkeypatch):
    def none_left(*_):
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(socket.socket, "bind", none_left)
    with pytest.raises(NoPortError, match="no port of this machine is free"):
        HeldPort()
