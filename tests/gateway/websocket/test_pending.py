"""A socket whose token is being looked at: what comes meanwhile waits, and what ends meanwhile ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from websockets.exceptions import ConnectionClosed

from gateway.auth.identity import Identity
from gateway.service import Gateway
from gateway.settings import Settings
from protocol.errors import AuthenticationFailed, Unavailable
from tests.support.client import Client
from tests.support.expect import done
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server
from tests.support.tokens import Issuer


class Slow:
    """An authenticator that answers when the test says so."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, Deferred[Identity]]] = []

    async def identify(self, token: str) -> Identity:
        question: Deferred[Identity] = Deferred()
        self.questions.append((token, question))
        return await question

    async def stop(self) -> None:
        """Nothing is under way."""

    def answer(self, token: str, answer: Identity | Exception) -> None:
        """Wait until this token is asked about, and answer."""
        wait_until(lambda: bool(self.questions))
        asked, question = self.questions.pop(0)
        assert asked == token
        if isinstance(answer, Identity):
            run(lambda: question.callback(answer))
        else:
            run(lambda: question.errback(answer))


@pytest.fixture
def slow() -> Slow:
    """What the gateway's sockets are waiting for."""
    return Slow()


@pytest.fixture(params=[True, False], ids=["--fast-path", "--no-fast-path"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, valkey: Server, slow: Slow) -> Iterator[Gateway]:
    """A gateway in this process that asks `slow`."""
    (tmp_path / "key").write_bytes(Issuer.new().public)
    gateway = Gateway(
        reactor,
        Settings(
            data_dir=tmp_path / "data",
            port=0,
            redis_url=valkey.url,
            auth="jwt",
            jwt_key_file=tmp_path / "key",
            fast_path=request.param,
        ),
    )
    try:
        run(gateway.start)
        assert gateway.node is not None
        gateway.node.authenticator = slow
        yield gateway
    finally:
        run(gateway.stop)


def test_requests_wait_for_the_token_of_the_handshake(guarded: Gateway, slow: Slow) -> None:
    with Client(guarded.url, project="p", headers={"X-Auth-Token": "t"}) as client:
        client.send("queue_list", {})
        with pytest.raises(TimeoutError):
            client.receive(0.3)
        slow.answer("t", Identity("p"))
        done(client.receive_reply(), 200)


def test_requests_wait_for_the_action(guarded: Gateway, slow: Slow) -> None:
    with Client(guarded.url, project="p") as client:
        for token in ("first", "second"):
            client.send("authenticate", headers={"X-Auth-Token": token})
            client.send("queue_list", {})
        with pytest.raises(TimeoutError):
            client.receive(0.3)
        slow.answer("first", Unavailable("Nobody there."))
        slow.answer("second", Identity("p"))
        assert [client.receive_reply().status for _ in range(4)] == [503, 403, 200, 200]


FILLER = {"filler": "x" * 20_000}
"""More than a frame may have before somebody has authenticated."""


def test_large_frames_wait_for_the_token_of_the_handshake(guarded: Gateway, slow: Slow) -> None:
    with Client(guarded.url, project="p", headers={"X-Auth-Token": "t"}) as client:
        for _ in range(3):
            client.send("queue_list", FILLER)
        with pytest.raises(TimeoutError):
            client.receive(0.3)
        slow.answer("t", Identity("p"))
        assert [client.receive_reply().status for _ in range(3)] == [200] * 3


def test_large_frames_wait_for_the_action(guarded: Gateway, slow: Slow) -> None:
    with Client(guarded.url, project="p") as client:
        client.send("authenticate", headers={"X-Auth-Token": "t"})
        client.send("queue_list", {})
        for _ in range(3):
            client.send("queue_list", FILLER)
        with pytest.raises(TimeoutError):
            client.receive(0.3)
        slow.answer("t", Identity("p"))
        assert [client.receive_reply().status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("answer", [Unavailable("Nobody there."), AuthenticationFailed()], ids=["503", "401"])
def test_large_frames_of_who_stays_a_stranger_close(guarded: Gateway, slow: Slow, answer: Exception) -> None:
    with Client(guarded.url, project="p") as client:
        client.send("authenticate", headers={"X-Auth-Token": "t"})
        client.send("queue_list", FILLER)
        slow.answer("t", answer)
        assert client.receive_reply().status in (401, 503)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_a_token_of_the_handshake_that_cannot_be_decided(guarded: Gateway, slow: Slow) -> None:
    for answer, code in ((Unavailable("Nobody there."), 4101), (AuthenticationFailed(), 4001)):
        with Client(guarded.url, headers={"X-Auth-Token": "t"}) as client:
            client.send("queue_list", {})
            slow.answer("t", answer)
            with pytest.raises(ConnectionClosed) as closed:
                client.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code


def test_a_socket_that_is_gone_before_the_answer(guarded: Gateway, slow: Slow) -> None:
    assert guarded.node is not None
    metrics = guarded.node.metrics
    with Client(guarded.url, project="p", headers={"X-Auth-Token": "t"}) as client:
        client.send("queue_list", {})
        wait_until(lambda: bool(slow.questions))
    wait_until(lambda: b"zaqar_gateway_connections 0.0" in run(metrics.text))
    slow.answer("t", Identity("p"))
    with Client(guarded.url, project="p", headers={"X-Auth-Token": "next"}) as client:
        slow.answer("next", Identity("p"))
        done(client.request("queue_list", {}), 200)


def test_the_end_of_the_node_waits_for_the_answer(guarded: Gateway, slow: Slow) -> None:
    with Client(guarded.url, project="p", headers={"X-Auth-Token": "t"}) as client:
        client.send("queue_list", {})
        assert client.socket.ping().wait(client.timeout)  # the request has come before that
        stopped = run(lambda: [guarded.stop()])[0]
        slow.answer("t", Identity("p"))
        done(client.receive_reply(), 200)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    wait_until(lambda: stopped.called)
