"""One connection: order, what was sent and what was not, and servers that are none."""

from __future__ import annotations

import os
import signal
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest
from twisted.internet.defer import Deferred, DeferredList, gatherResults

from storage.errors import OutcomeUnknown, StoreBusy, StoreUnavailable
from storage.redis import connection as module
from storage.redis.client import ServerClient
from storage.redis.connection import StoreConnection
from storage.redis.link import Link
from storage.redis.store import RedisStore
from storage.redis.topology import event_client, store_client
from tests.support.reactor import eventually, reactor, run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import connected, connected_to


def link_of(store: RedisStore) -> Link[StoreConnection]:
    assert isinstance(store.client, ServerClient)
    return store.client.link


def connection_of(store: RedisStore) -> StoreConnection:
    connection = link_of(store).connection
    assert connection is not None
    return connection


def outcomes(results: Any) -> list[Any]:
    """Of a DeferredList: answers, and the classes of errors."""
    return [result if succeeded else type(result.value) for succeeded, result in results]


def test_answers_come_in_the_order_of_the_commands(store: RedisStore) -> None:
    def ask() -> Deferred[list[Any]]:
        connection = connection_of(store)
        return gatherResults([connection.send("ECHO", n) for n in range(5000)])

    assert run(ask) == [b"%d" % n for n in range(5000)]


def test_all_commands_of_a_turn_go_out_together(store: RedisStore, store_server: Server) -> None:
    client = store_server.client()

    def reads() -> int:
        return int(client.info("stats")["total_reads_processed"])

    def ask() -> Deferred[list[Any]]:
        connection = connection_of(store)
        return gatherResults([connection.send("INCR", "n") for _ in range(100)])

    before = reads()
    assert run(ask) == list(range(1, 101))
    # One for all of them, and one for the second question.
    assert reads() - before == 2


def test_an_error_reply_is_an_answer(store: RedisStore) -> None:
    connection = connection_of(store)
    reply = run(connection.send, "NO-SUCH-COMMAND")
    assert isinstance(reply, hiredis.ReplyError)
    assert run(connection.send, "ECHO", "next") == b"next"


def test_large_and_odd_values_pass(store: RedisStore) -> None:
    connection = connection_of(store)
    value = os.urandom(3_000_000)
    assert run(connection.send, "ECHO", value) == value
    assert run(connection.send, "ECHO", "ä\r\n\0") == "ä\r\n\0".encode()
    assert run(connection.send, "GET", "missing") is None


def test_what_was_sent_is_unknown_and_what_was_not_is_not(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        os.kill(server.pid, signal.SIGSTOP)

        async def break_between() -> list[Any]:
            connection = connection_of(store)
            sent = connection.send("INCR", "n")
            await eventually(lambda: not connection._unsent)
            connection.abort()
            unsent = connection.send("INCR", "n")
            return outcomes(await DeferredList([sent, unsent], consumeErrors=True))

        assert run(break_between) == [OutcomeUnknown, StoreUnavailable]
        os.kill(server.pid, signal.SIGCONT)


def test_a_closed_connection_takes_nothing(store_server: Server) -> None:
    with connected(store_server) as store:
        connection = connection_of(store)
        run(store.stop)
        with pytest.raises(StoreUnavailable, match="closed"):
            run(connection.send, "PING")
        with pytest.raises(StoreUnavailable, match="no connection"):
            run(store.client.execute, "PING")
        with pytest.raises(StoreUnavailable, match="no connection"):
            run(lambda: store.client.connected(0.01))


def test_too_many_waiting_commands_are_refused(store: RedisStore) -> None:
    def ask() -> Deferred[Any]:
        connection = connection_of(store)
        sent = [connection.send("ECHO", n) for n in range(module.MAX_WAITING + 2)]
        return DeferredList(sent, consumeErrors=True)

    told = outcomes(run(ask))
    assert told[: module.MAX_WAITING] == [b"%d" % n for n in range(module.MAX_WAITING)]
    assert told[module.MAX_WAITING :] == [StoreBusy, StoreBusy]
    assert run(connection_of(store).send, "ECHO", "again") == b"again"


def test_a_command_without_an_answer_breaks_the_connection(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server, timeout=1) as store:
        connection = connection_of(store)
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(OutcomeUnknown):
            run(connection.send, "PING")
        os.kill(server.pid, signal.SIGCONT)
        wait_until(lambda: link_of(store).connection not in (None, connection))
        assert run(store.client.execute, "PING") == b"PONG"


def test_an_idle_connection_is_left_alone(store_server: Server) -> None:
    with connected(store_server, timeout=0.4) as store:
        connection = connection_of(store)
        watches = []

        async def watch() -> None:
            async def another_look() -> bool:
                watches.append(connection._watch)
                return len(set(map(id, watches))) > 4

            await eventually(another_look)

        run(watch)
        assert connection_of(store) is connection


class Impostor:
    """A server that is no Redis: it says the same to whoever connects, and counts them."""

    def __init__(self, path: Path, says: bytes) -> None:
        self.url = f"unix://{path}"
        self.connections = 0
        impostor = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                impostor.connections += 1
                self.request.sendall(says)
                self.request.recv(1)

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(params=[b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+OK\r\n"], ids=["HTTP", "out of turn"])
def impostor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Impostor]:
    server = Impostor(tmp_path / "server.sock", request.param)
    yield server
    server.stop()


def test_what_is_no_redis_is_hung_up_on(impostor: Impostor) -> None:
    client = store_client(reactor, impostor.url, 1)
    run(client.start)
    wait_until(lambda: impostor.connections > 1)
    run(client.stop)


@pytest.mark.parametrize("user", ["", "user:password@"])
@pytest.mark.parametrize("impostor", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], indirect=True)
def test_events_of_what_is_no_redis_are_not_listened_to(impostor: Impostor, user: str) -> None:
    heard: list[bytes] = []
    url = impostor.url.replace("unix://", f"unix://{user}")
    client = event_client(reactor, url, 1, lambda channel, event: None, heard.append)
    run(client.start)
    run(client.listen, b"channel")
    wait_until(lambda: impostor.connections > 1)
    run(client.stop)
    assert heard == []


def test_a_store_over_tcp(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", tcp=True) as server:
        assert server.tcp_url is not None
        with connected_to(server.tcp_url) as store:
            assert run(store.client.execute, "PING") == b"PONG"
