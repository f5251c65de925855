"""permessage-deflate (RFC 7692): what is agreed on, what is compressed, and what is not taken."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from tests.support.client import Client
from tests.support.deflate import DeflateSocket
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.memory import Peak
from tests.support.raw import BINARY, CLOSE, PING, TEXT, Ended, RawSocket, make_frame

OFFER = "permessage-deflate; client_max_window_bits"

LIMIT = 65_536


@pytest.fixture(scope="module", params=["--fast-path", "--no-fast-path"])
def compressing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("compressing") / "data"
    options = ("--compression", "--max-frame-bytes", str(LIMIT))
    with start_gateway(folder, request.param, *options) as running:
        yield running


def request(action: str, body: dict[str, Any], project: str = "deflate") -> bytes:
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": project}
    return json.dumps({"action": action, "headers": headers, "body": body}).encode()


def large(size: int = 5000) -> bytes:
    """A request of `size` bytes, which its reply repeats."""
    return request("get_home_doc", {"padding": "ü" * (size // 6)})


def test_only_where_it_is_configured(gateway: Gateway) -> None:
    with DeflateSocket(gateway.url, OFFER) as raw:
        assert raw.agreed == ""


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", "permessage-deflate; client_no_context_takeover"),
        (OFFER, "permessage-deflate; client_no_context_takeover"),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; "
            "client_no_context_takeover",
        ),
        ("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate; client_no_context_takeover"),
        ("x-webkit-deflate-frame", ""),
    ],
)
def test_what_is_agreed_on(compressing: Gateway, offer: str, agreed: str) -> None:
    with DeflateSocket(compressing.url, offer) as raw:
        assert raw.agreed == agreed
        raw.send_frame(TEXT, large())
        assert json.loads(raw.receive_data().payload)["headers"]["status"] == 200
        assert raw.compressed == (1 if agreed and "window_bits" not in agreed else 0)


@pytest.mark.parametrize("piece", [0, 1, 7])
def test_requests_and_replies(compressing: Gateway, piece: int) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        for _ in range(5):
            raw.send_compressed(TEXT, large(), piece)
            raw.send_frame(TEXT, large())  # not compressed: as good
            for _ in range(2):
                assert json.loads(raw.receive_data().payload)["headers"]["status"] == 200
        assert raw.compressed == 10
        assert raw.received < 5000
        raw.send_compressed(TEXT, request("ping_node", {}))
        assert json.loads(raw.receive_data().payload)["headers"]["status"] == 204
        assert raw.compressed == 10, "small ones are not worth it"


@pytest.mark.parametrize("subprotocol", [None, SUBPROTOCOL])
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_notifications_reach_everybody_in_their_way(
    compressing: Gateway, subprotocol: str | None, form: Any
) -> None:
    body = {"text": "again and again " * 100}
    with (
        Client(compressing.url, form=form, subprotocol=subprotocol) as client,  # of a library that compresses
        RawSocket(compressing.url) as plain,
        DeflateSocket(compressing.url, OFFER) as deflated,
    ):
        done(client.request("subscription_create", {"queue_name": "news", "ttl": 600}), 201)
        subscribe = request("subscription_create", {"queue_name": "news", "ttl": 600}, client.project)
        plain.send_frame(TEXT, subscribe)
        assert json.loads(plain.receive_message().payload)["headers"]["status"] == 201
        deflated.send_compressed(TEXT, subscribe)
        assert json.loads(deflated.receive_data().payload)["headers"]["status"] == 201
        done(client.request("message_post", {"queue_name": "news", "messages": [{"body": body}] * 3}), 201)
        assert [each["body"] for each in client.wait_notifications(3)] == [body] * 3
        for _ in range(3):
            assert json.loads(plain.receive_message().payload)["body"] == body
            assert json.loads(deflated.receive_data().payload)["body"] == body
        assert deflated.compressed == 3


def test_claims_are_pushed_compressed(compressing: Gateway) -> None:
    with Client(compressing.url, subprotocol=SUBPROTOCOL) as client:
        done(client.request("queue_create", {"queue_name": "work"}), 201)
        done(client.request("claim_subscribe", {"queue_name": "work", "credit": 5}), 201)
        bodies = [{"text": "x" * 2000}] * 3
        messages = [{"body": body} for body in bodies]
        done(client.request("message_post", {"queue_name": "work", "messages": messages}), 201)
        assert [message["body"] for message in client.wait_notifications(1)[0]["messages"]] == bodies


def test_more_than_the_limit_after_decompression(compressing: Gateway) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        raw.send_compressed(TEXT, b"{" + b" " * LIMIT * 1000)  # some 64 kB, a thousand times that inside
        assert raw.receive_close() == 1009


def test_fragments_count_together(compressing: Gateway) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        raw.send_compressed(TEXT, b"{" + b" " * LIMIT * 3, 16)
        assert raw.receive_close() == 1009


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x00" * 9, bytes(range(256))])
def test_what_cannot_be_decompressed(compressing: Gateway, data: bytes) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        raw.send(make_frame(TEXT, data, rsv=4))
        assert raw.receive_close() in (1002, 1007)


def test_text_that_is_not_utf8_inside(compressing: Gateway) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        raw.send_compressed(TEXT, b"\xed\xa0\x80")
        assert raw.receive_close() == 1007


@pytest.mark.parametrize("opcode", [PING, CLOSE])
def test_control_frames_are_never_compressed(compressing: Gateway, opcode: int) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        raw.send(make_frame(opcode, raw.compress(b"\x03\xe8"), rsv=4))
        assert raw.receive_close() == 1002


def test_only_the_first_fragment_is_marked(compressing: Gateway) -> None:
    with DeflateSocket(compressing.url, OFFER) as raw:
        data = raw.compress(large())
        raw.send(make_frame(TEXT, data[:10], fin=False, rsv=4))
        raw.send(make_frame(0, data[10:], rsv=4))
        assert raw.receive_close() == 1002


def test_not_without_the_extension(compressing: Gateway) -> None:
    with RawSocket(compressing.url) as raw:
        raw.send(make_frame(BINARY, zlib.compress(b"\xc0"), rsv=4))
        assert raw.receive_close() == 1002


def test_an_offer_that_is_wrong_is_refused(compressing: Gateway) -> None:
    with RawSocket(compressing.url, handshake=False) as raw:
        raw.send(
            raw.upgrade_request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=99")
        )
        try:
            head = raw.receive_head()
        except Ended:
            pytest.fail("no answer")
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 101 "))


def test_what_comes_at_once_is_decompressed_as_it_is_taken_up(compressing: Gateway) -> None:
    message = request("queue_get", {"queue_name": "q"}).ljust(LIMIT - 1)
    count = 400
    with DeflateSocket(compressing.url, "permessage-deflate; client_no_context_takeover") as raw:
        flood = b"".join(make_frame(TEXT, raw.compress(message), rsv=4) for _ in range(count))
        assert len(flood) < LIMIT * 2
        peak = Peak(compressing.pid)
        raw.send(flood)
        for _ in range(count):
            assert json.loads(raw.receive_data().payload)["headers"]["status"] == 200
        assert peak.growth() < count * LIMIT // 3
