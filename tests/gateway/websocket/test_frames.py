"""Frames of all kinds, and how a connection ends (RFC 6455 sections 5 and 7)."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, bodies, done, post
from tests.support.gateway import Gateway
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Ended,
    Frame,
    RawSocket,
    make_frame,
)
from tests.support.reactor import wait_until


def request(action: str = "ping_node", **body: Any) -> bytes:
    headers = {"Client-ID": UNKNOWN_ID, "X-Project-ID": "frames"}
    return json.dumps({"action": action, "headers": headers, "body": body}).encode()


def status(frame: Frame) -> int:
    assert frame.opcode == TEXT
    found: int = json.loads(frame.payload)["headers"]["status"]
    return found


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack(">H", code) + reason


def test_a_request_in_fragments_with_control_frames_between(gateway: Gateway) -> None:
    whole = request(note="ü" * 10)
    with RawSocket(gateway.url) as raw:
        raw.send_frame(TEXT, whole[:1], fin=False)
        raw.send_frame(PING, b"one")
        # The cuts go through characters too.
        for byte in whole[1:-1]:
            raw.send_frame(CONTINUATION, bytes([byte]), fin=False)
        raw.send_frame(PONG, b"unasked")
        raw.send_frame(CONTINUATION, b"", fin=False)
        raw.send_frame(PING, b"x" * 125)
        raw.send_frame(CONTINUATION, whole[-1:])
        assert raw.receive_frame() == (PONG, b"one")
        assert raw.receive_frame() == (PONG, b"x" * 125)
        assert status(raw.receive_frame()) == 204


def test_many_requests_in_one_segment_with_the_handshake(gateway: Gateway) -> None:
    with RawSocket(gateway.url, handshake=False) as raw:
        frames = [make_frame(TEXT, request("queue_get", queue_name=f"q{number}")) for number in range(200)]
        raw.send(raw.upgrade_request() + b"".join(frames))
        assert raw.receive_head().startswith(b"HTTP/1.1 101 ")
        for number in range(200):
            reply = json.loads(raw.receive_message().payload)
            assert reply["request"]["body"] == {"queue_name": f"q{number}"}


def test_a_request_that_comes_byte_by_byte(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as raw:
        for byte in make_frame(TEXT, request()):
            raw.send(bytes([byte]))
        assert status(raw.receive_message()) == 204


VIOLATIONS: dict[str, bytes] = {
    "unmasked": make_frame(TEXT, b"{}", masked=False),
    "rsv1": make_frame(TEXT, b"{}", rsv=4),
    "rsv2": make_frame(TEXT, b"{}", rsv=2),
    "rsv3": make_frame(BINARY, b"\x80", rsv=1),
    "reserved data opcode": make_frame(0x3, b"{}"),
    "reserved control opcode": make_frame(0xB, b"{}"),
    "continuation of nothing": make_frame(CONTINUATION, b"{}"),
    "message inside a message": make_frame(TEXT, b"{", fin=False) + make_frame(TEXT, b"}"),
    "ping in fragments": make_frame(PING, b"x", fin=False),
    "long ping": make_frame(PING, b"x" * 126),
    "length of over 63 bits": make_frame(TEXT, length=2**63),
    "length not in its shortest form": bytes([0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0]) + b"{}",
    "close of one byte": make_frame(CLOSE, b"x"),
    "close with 1005": make_frame(CLOSE, close_payload(1005)),
    "close with 999": make_frame(CLOSE, close_payload(999)),
    "close with 5000": make_frame(CLOSE, close_payload(5000)),
}


@pytest.mark.parametrize("frames", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_is_closed_with_1002(gateway: Gateway, frames: bytes) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send(frames)
        assert raw.receive_close() == 1002


NOT_UTF8: dict[str, list[bytes]] = {
    "a lone byte": [make_frame(TEXT, b'"\xff"')],
    "a half surrogate pair": [make_frame(TEXT, b'"\xed\xa0\x80"')],
    "too long a form": [make_frame(TEXT, b"\xc0\x80")],
    "beyond Unicode": [make_frame(TEXT, b"\xf4\x90\x80\x80")],
    "cut off": [make_frame(TEXT, b'"\xe2\x82')],
    "cut off in a fragment": [make_frame(TEXT, b'"\xe2', fin=False), make_frame(CONTINUATION, b'"')],
    "reason of a close": [make_frame(CLOSE, close_payload(1000, b"\xff"))],
}


@pytest.mark.parametrize("frames", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_text_that_is_not_utf8_is_closed_with_1007(gateway: Gateway, frames: list[bytes]) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send(b"".join(frames))
        assert raw.receive_close() == 1007


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_over_1_mib_is_closed_with_1009(gateway: Gateway, opcode: int) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send_frame(opcode, b" " * 1_048_576)
        assert raw.receive_message().opcode == opcode
        # The length alone is enough: nobody waits for the rest.
        raw.send_frame(opcode, b" ", length=1_048_577)
        assert raw.receive_close() == 1009


def test_many_small_fragments_make_no_larger_message(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send_frame(TEXT, b" ", fin=False)
        fragment = make_frame(CONTINUATION, b" " * 4096, fin=False)
        for _ in range(257):
            raw.send(fragment)
        assert raw.receive_close() == 1009


def test_the_operator_sets_how_large_a_message_may_be(impatient_gateway: Gateway) -> None:
    with RawSocket(impatient_gateway.url) as raw:
        raw.send_frame(TEXT, b" " * 4096)
        assert status(raw.receive_message()) == 400
        raw.send_frame(TEXT, b" " * 4097)
        assert raw.receive_close() == 1009


def test_replies_may_be_larger_than_requests(impatient_gateway: Gateway) -> None:
    with Client(impatient_gateway.url) as client:
        for _ in range(10):
            post(client, "q", "x" * 3000)
        assert bodies(client, "q") == ["x" * 3000] * 10


def test_a_page_of_large_messages_arrives(gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        for _ in range(20):
            post(client, "q", "x" * 200_000)
        assert bodies(client, "q", limit=20) == ["x" * 200_000] * 20


@pytest.mark.parametrize(
    "payload", [b"", close_payload(1000), close_payload(4999, b"bye"), close_payload(1001)]
)
def test_a_close_is_answered_with_a_close_and_no_reset(gateway: Gateway, payload: bytes) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send_frame(CLOSE, payload)
        assert raw.receive_close() == 1000
        assert raw.receive_rest() == b""


def test_after_our_close_the_connection_ends_without_a_reset(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send(VIOLATIONS["rsv2"])
        assert raw.receive_close() == 1002
        raw.send_frame(CLOSE, close_payload(1002))
        assert raw.receive_rest() == b""


@pytest.mark.parametrize(
    "end", [make_frame(CLOSE), VIOLATIONS["rsv2"], b""], ids=["close", "violation", "drop"]
)
def test_what_was_sent_before_the_end_is_done_though_nobody_waits(gateway: Gateway, end: bytes) -> None:
    with Client(gateway.url, project="frames") as client:
        queue = f"last-words-{len(end)}"
        with RawSocket(gateway.url) as raw:
            raw.send(
                make_frame(TEXT, request("message_post", queue_name=queue, messages=[{"body": 1}])) + end
            )
        listing = {"queue_name": queue, "echo": True}
        wait_until(lambda: client.request("message_list", listing).status == 200)
        wait_until(lambda: bodies(client, queue) == [1])
    assert not [event for event in gateway.events if event["event"] == "session_failed"]


def test_nothing_more_is_taken_after_a_violation(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as raw, Client(gateway.url, project="frames") as client:
        creating = make_frame(TEXT, request("queue_create", queue_name="too-late"))
        raw.send(VIOLATIONS["rsv2"] + creating)
        assert raw.receive_close() == 1002
        raw.send(creating + make_frame(CLOSE))
        with pytest.raises(Ended):
            raw.receive_frame()
        assert done(client.request("queue_list", {"marker": "too-lat"}), 200)["queues"] == []
