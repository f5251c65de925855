"""One port for several processes, and for nobody else."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.protocol import Factory, Protocol

from gateway.workers.port import listen, reserve
from tests.support.reactor import reactor, run


def test_a_port_that_was_chosen_is_not_chosen_again() -> None:
    with reserve("127.0.0.1", 0) as one, reserve("127.0.0.1", 0) as other:
        ports = {one.getsockname()[1], other.getsockname()[1]}
        assert len(ports - {0}) == 2


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(OSError, match="Address already in use"),
    ):
        reserve("127.0.0.1", listening.getsockname()[1])


def test_it_takes_no_connection_itself() -> None:
    with (
        reserve("127.0.0.1", 0) as reserved,
        pytest.raises(ConnectionRefusedError),
    ):
        socket.create_connection(reserved.getsockname(), timeout=5)


def test_two_nodes_of_one_user_do_not_share_a_port() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        listening = run(lambda: listen(reactor, Factory.forProtocol(Protocol), "127.0.0.1", port))
        try:
            with pytest.raises(OSError, match="Address already in use"):
                reserve("127.0.0.1", port)
        finally:
            run(listening.stopListening)


def test_several_listen_and_one_ends() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        address = reserved.getsockname()
        one, other = (run(lambda: listen(reactor, Factory.forProtocol(Protocol), *address)) for _ in range(2))
        run(one.stopListening)
        for _ in range(20):  # none goes to the one that has ended
            socket.create_connection(address, timeout=5).close()
        run(other.stopListening)
