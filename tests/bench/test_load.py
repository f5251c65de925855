"""The load and the send loop: they count right, and a server that fails is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load import Load
from bench.native_program import LoadError
from bench.peers import zaqar_frames, zaqar_rest
from bench.peers.broadcast import SendLoop
from bench.peers.peer import MARK, exchange
from bench.server import Server
from tests.support.client import Client
from tests.support.gateway import Gateway

SOCKETS = 20


@pytest.fixture
def sendloop(tmp_path: Path) -> Iterator[Server]:
    with SendLoop().start(tmp_path) as server:
        yield server


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rstrip("/").rpartition(":")[2])


@pytest.mark.parametrize("messages", [1, 8])
@pytest.mark.parametrize("options", [[], ["--window", "4"], ["--rate", "100"]])
def test_every_subscriber_gets_every_message(sendloop: Server, messages: int, options: list[str]) -> None:
    arguments = [*SendLoop().publish(messages), "--batch", str(messages), *options]
    with Load(sendloop.port, SOCKETS, arguments) as load:
        assert load.do("open").operations == SOCKETS
        load.do("prepare")
        for _ in range(2):
            done = load.do("run 0.2")
            assert done.rounds > 0
            assert done.operations == done.rounds * messages * SOCKETS
            assert 0 < done.p50_us <= done.p99_us <= done.max_us


@pytest.mark.parametrize("size", [100, 125, 126, 65_535, 65_536, 120_000])
def test_frames_of_every_length(sendloop: Server, size: int) -> None:
    text = MARK + "x" * (size - 2 * len(MARK)) + "#end...#"[-len(MARK) :]
    for sought in (MARK, text[-len(MARK) :]):
        arguments = ["--path", "/subscribe", "--publish-path", "/publish", "--publish", text]
        with Load(sendloop.port, 3, [*arguments, "--message", sought]) as load:
            load.do("open")
            load.do("prepare")
            done = load.do("run 0.1")
            assert done.operations == done.rounds * 3 > 0


def test_a_steady_pace(sendloop: Server) -> None:
    with Load(sendloop.port, 1, [*SendLoop().publish(1), "--rate", "50"]) as load:
        load.do("open")
        load.do("prepare")
        # Fewer on a machine that is too busy to publish the last ones in time, never more.
        assert 0 < load.do("run 0.5").rounds <= 26


@pytest.mark.parametrize("outstanding", [1, 16])
def test_each_answered_post_is_stored(gateway: Gateway, outstanding: int) -> None:
    with Client(gateway.url, project="bench") as client:
        client.request("queue_delete", {"queue_name": "posts"})
        options = [*zaqar_frames.post(), "--outstanding", str(outstanding)]
        with Load(port_of(gateway), 5, options) as load:
            load.do("open")
            load.do("prepare")
            done = load.do("run 0.2")
        stats = client.request("queue_get_stats", {"queue_name": "posts"}).body["messages"]
        assert stats["total"] == done.operations > 0


@pytest.mark.parametrize("connections", [1, 5])
def test_each_answered_post_over_rest_is_stored(gateway: Gateway, connections: int) -> None:
    with Client(gateway.url, project="bench") as client:
        client.request("queue_delete", {"queue_name": "posts"})
        with Load(port_of(gateway), connections, zaqar_rest.post()) as load:
            load.do("open")
            load.do("prepare")
            done = load.do("run 0.2")
        stats = client.request("queue_get_stats", {"queue_name": "posts"}).body["messages"]
        assert stats["total"] == done.operations > 0


def test_a_refusal_over_rest_fails_the_load_with_its_answer(gateway: Gateway) -> None:
    request = "GET /v2/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    options = ["--http", "--request", request, "--reply", '"resources"', "--patience", "2"]
    with Load(port_of(gateway), 1, options) as load:
        load.do("open")
        load.do("prepare")
        with pytest.raises(LoadError, match=r"HTTP/1\.1 404 Not Found"):
            load.do("run 0.1")


def test_sockets_come_back_to_what_they_missed(gateway: Gateway) -> None:
    (marker,) = zaqar_frames.post_once(port_of(gateway), 1)
    options = [*zaqar_frames.subscribe(), *zaqar_frames.resume(marker, 10)]
    with Load(port_of(gateway), SOCKETS, options) as load:
        load.do("open")
        load.do("prepare")
        load.drop()
        zaqar_frames.post_once(port_of(gateway), 10)
        done = load.do("resume")
        assert done.operations == SOCKETS
        assert 0 < done.p50_us <= done.p99_us


def test_a_socket_that_finds_less_than_it_missed_fails_the_load(gateway: Gateway) -> None:
    (marker,) = zaqar_frames.post_once(port_of(gateway), 1)
    options = [*zaqar_frames.subscribe(), *zaqar_frames.resume(marker, 10), "--patience", "2"]
    with Load(port_of(gateway), 2, options) as load:
        load.do("open")
        load.do("prepare")
        load.drop()
        zaqar_frames.post_once(port_of(gateway), 9)
        with pytest.raises(LoadError, match="nothing came for"):
            load.do("resume")


def test_a_refused_request_fails_the_load_with_its_answer(gateway: Gateway) -> None:
    request = zaqar_frames.frame("message_post", {"queue_name": "not a name", "messages": []})
    options = ["--request", request, "--reply", '"message_ids"', "--patience", "2"]
    with Load(port_of(gateway), 1, options) as load:
        load.do("open")
        load.do("prepare")
        with pytest.raises(LoadError, match=r'no answer for 2 s; 1 requests .*"request"'):
            load.do("run 0.1")


def test_a_subprotocol_that_is_not_offered_fails_the_load(gateway: Gateway) -> None:
    with (
        Load(port_of(gateway), 1, ["--protocol", "nobody.speaks.it"]) as load,
        pytest.raises(LoadError, match=r"does not offer the subprotocol nobody\.speaks\.it"),
    ):
        load.do("open")


def test_a_refused_handshake_fails_the_load(gateway: Gateway) -> None:
    with (
        Load(port_of(gateway), 1, ["--path", "/ HTTP/1.1\r\nOrigin: http://elsewhere\r\nX-Rest:"]) as load,
        pytest.raises(LoadError, match=r"the handshake was refused: HTTP/1.1 403"),
    ):
        load.do("open")


def test_a_server_that_ends_fails_the_load(sendloop: Server) -> None:
    with Load(sendloop.port, SOCKETS, SendLoop().publish(1)) as load:
        load.do("open")
        load.do("prepare")
        sendloop.stop()
        with pytest.raises(LoadError, match="socket"):
            load.do("run 0.2")


def test_the_number_of_the_socket_in_a_frame(gateway: Gateway) -> None:
    create = zaqar_frames.frame("queue_create", {"queue_name": "numbered-@@@@@"})
    with Load(port_of(gateway), 3, exchange("--prepare", create, "created.")) as load:
        load.do("open")
        load.do("prepare")
    with Client(gateway.url, project="bench") as client:
        names = [
            queue["name"] for queue in client.request("queue_list", {"marker": "numbered-"}).body["queues"]
        ]
    assert names[:3] == ["numbered-00000", "numbered-00001", "numbered-00002"]
