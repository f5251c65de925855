"""Random bytes and random frames on the connection itself: answered, or closed with the right code."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.expect import UNKNOWN_ID
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
    http,
    make_frame,
    split_response,
)


@pytest.fixture(scope="session", params=["--fast-path", "--no-fast-path"])
def gateway(request: pytest.FixtureRequest, gateway: Gateway) -> Gateway:
    """The gateway, with and without the short path for frames."""
    if request.param == "--fast-path":
        return gateway
    plain: Gateway = request.getfixturevalue("plain_gateway")
    return plain


@pytest.fixture(scope="module")
def url(gateway: Gateway) -> str:
    """Where the gateway listens."""
    return gateway.url


class Sent(NamedTuple):
    """One frame to send."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool


frames = st.builds(
    Sent,
    opcode=st.sampled_from([CONTINUATION, TEXT, BINARY, PING, PONG] * 4 + list(range(16))),
    payload=st.binary(max_size=140) | st.sampled_from([b"", b"{}", b'"\xe2\x82', b"\x80", b"\x03\xe8"]),
    fin=st.booleans() | st.just(True),
    rsv=st.sampled_from([0] * 12 + [1, 2, 4]),
    masked=st.sampled_from([True] * 12 + [False]),
)


def closing_codes(sent: list[Sent]) -> set[int]:
    """The codes with which these frames may be answered by a close; none if they need none (RFC 6455)."""
    message: bytes | None = None
    text = False
    for frame in sent:
        control = frame.opcode >= 8
        if (
            frame.rsv
            or not frame.masked
            or frame.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
            or (control and (not frame.fin or len(frame.payload) > 125))
            or (frame.opcode == CLOSE)
            or (frame.opcode == CONTINUATION and message is None)
            or (frame.opcode in (TEXT, BINARY) and message is not None)
        ):
            # A close frame is answered with 1000, one that is none with 1002 or 1007; any may come first.
            return {1000, 1002, 1007} if frame.opcode == CLOSE else {1002, 1007}
        if control:
            continue
        if message is None:
            message, text = b"", frame.opcode == TEXT
        message += frame.payload
        if text and not is_utf8(message, whole=frame.fin):
            return {1007}
        if frame.fin:
            message = None
    return set()


def is_utf8(data: bytes, *, whole: bool) -> bool:
    """Whether this is UTF-8, or, if not whole, may be the beginning of it."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return not whole and error.reason == "unexpected end of data"
    return True


def check_reply(frame: Frame) -> None:
    """A reply to garbage is a 4xx."""
    if frame.opcode == TEXT:
        assert 400 <= json.loads(frame.payload)["headers"]["status"] < 500
    assert b"Traceback" not in frame.payload


@given(sent=st.lists(frames, max_size=8))
def test_random_frames(url: str, sent: list[Sent]) -> None:
    codes = closing_codes(sent)
    with RawSocket(url) as raw:
        for frame in sent:
            raw.send_frame(frame.opcode, frame.payload, fin=frame.fin, rsv=frame.rsv, masked=frame.masked)
        if codes:
            while (found := raw.receive_frame()).opcode != CLOSE:
                check_reply(found)
            assert int.from_bytes(found.payload[:2], "big") in codes
        else:
            # A ping may stand between fragments too.
            raw.send_frame(PING, b"still there?")
            while (found := raw.receive_frame()) != (PONG, b"still there?"):
                assert found.opcode != CLOSE, found
                check_reply(found)


@given(data=st.binary(max_size=400))
def test_random_bytes_after_the_handshake(url: str, data: bytes) -> None:
    with RawSocket(url) as raw:
        raw.send(data)
        # Half a frame would be waited for: say that there is no more.
        raw.send_frame(CLOSE)
        raw.end_sending()
        try:
            while True:
                found = raw.receive_frame()
                assert found.opcode in (TEXT, BINARY, PONG, CLOSE), found
                check_reply(found)
                if found.opcode == CLOSE:
                    assert int.from_bytes(found.payload[:2], "big") in (1000, 1002, 1007, 1009)
        except Ended:
            pass


@given(cuts=st.lists(st.integers(1, 10), max_size=40), control=st.sampled_from([PING, PONG]))
def test_a_request_cut_anywhere(url: str, cuts: list[int], control: int) -> None:
    headers = {"Client-ID": UNKNOWN_ID, "X-Project-ID": "cut"}
    whole = json.dumps(
        {"action": "get_home_doc", "headers": headers, "x": "ü😀"}, ensure_ascii=False
    ).encode()
    with RawSocket(url) as raw:
        opcode = TEXT
        for cut in cuts:
            raw.send_frame(opcode, whole[:cut], fin=False)
            raw.send_frame(control, b"between")
            opcode, whole = CONTINUATION, whole[cut:]
        raw.send_frame(opcode, whole)
        assert json.loads(raw.receive_message().payload)["headers"]["status"] == 200


def http_status(url: str, data: bytes) -> int | None:
    """The status that these bytes are answered with, None for none."""
    with RawSocket(url, handshake=False) as raw:
        raw.send(data)
        raw.end_sending()
        try:
            return split_response(raw.receive_head())[0]
        except Ended:
            return None


@given(data=st.binary(max_size=300))
def test_random_bytes_instead_of_http(url: str, data: bytes) -> None:
    assert http_status(url, data + b"\r\n\r\n") in (400, 421, None)


tokens = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "get", "G\x00T", ""]) | tokens,
    target=st.sampled_from(["/", "*", "http://evil.example/", "//", "/%", "/\x00"]) | tokens,
    version=st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/x", ""]),
    headers=st.lists(st.tuples(tokens, tokens), max_size=4),
    upgrade=st.booleans(),
)
def test_random_requests(
    url: str, method: str, target: str, version: str, headers: list[tuple[str, str]], upgrade: bool
) -> None:
    lines = [f"{method} {target} {version}", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if upgrade:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    found = http_status(url, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    # 505 is what a WebSocket over HTTP/1.0 is refused with.
    assert found is None or found in (200, 300, 505) or 400 <= found < 500


@given(
    headers=st.dictionaries(
        st.sampled_from(["Sec_WebSocket_Key", "Sec_WebSocket_Version", "Origin", "Host"]), tokens
    )
)
def test_random_handshakes(url: str, headers: dict[str, str]) -> None:
    with RawSocket(url, handshake=False) as raw:
        request = raw.upgrade_request(**headers).decode().encode("latin-1")
        raw.send(request)
        assert split_response(raw.receive_head())[0] in (101, 400, 403, 421)


def test_many_half_open_connections_keep_nobody_out(url: str) -> None:
    waiting: list[Any] = []
    try:
        for number in range(200):
            raw = RawSocket(url, handshake=number % 2 == 0)
            waiting.append(raw)
            raw.send(make_frame(TEXT, b"{", fin=False) if number % 2 == 0 else b"GET / HTTP/1.1\r\nHost: loc")
        assert http(url, "/healthz")[0] == 200
    finally:
        for raw in waiting:
            raw.close()
