"""Heads of requests, of any content: each is answered, by its rules, and costs nobody else anything."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.gateway import Gateway
from tests.support.raw import RawSocket, split_response

ANSWERS = {101, 300, 400, 403, 404, 405, 421}
"""What a whole head of less than 16 KiB may be answered."""

# What a header may hold, and what it may not.
values = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.text(st.characters(max_codepoint=0xFF), max_size=60),
    st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
)
hosts = st.one_of(
    st.sampled_from(
        ["localhost", "127.0.0.1:1", "[::1]", "evil.example", "localhost.", "localhost@evil.example"]
    ),
    values,
)
origins = st.one_of(
    st.sampled_from(
        ["http://localhost", "https://[::1]:1", "null", "http://evil.example", "http://localhost@evil"]
    ),
    values,
)
names = st.sampled_from(
    (
        *("X-Forwarded-For", "Forwarded", "Host", "Origin", "Upgrade", "Connection", "Content-Length"),
        *("Transfer-Encoding", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Expect", "X-Other", "", " X"),
    )
)
lines = st.lists(st.tuples(names, values), max_size=4)


def told(gateway: Gateway, request: bytes) -> int:
    """The status of the answer."""
    with RawSocket(gateway.url, handshake=False) as raw:
        raw.send(request)
        return split_response(raw.receive_head() + b"\r\n\r\n")[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hosts, origins, lines)
@example("localhost", "http://localhost", [("X-Forwarded-For", "9.9.9.9\x85Origin: http://localhost")])
@example("evil.example", "http://evil.example", [("X-Other", "a\nHost: localhost")])
@example("localhost", "null", [("Host", "localhost")])
def test_a_handshake_of_any_host_and_origin(
    gateway: Gateway, host: str, origin: str, more: list[tuple[str, str]]
) -> None:
    fields = [("Host", host), ("Origin", origin), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
    fields += [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"), *more]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    status = told(gateway, f"GET / HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
    assert status in ANSWERS
    if status == 101:
        # The rules once more, in other words: a host of this machine, a page of this machine.
        assert host.strip().lower().startswith(("localhost", "127.0.0.1", "[::1]"))
        assert "evil" not in host + origin


@pytest.mark.parametrize("path", [b"/", b"/metrics"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hosts, lines)
def test_plain_http_of_any_host(
    gateway: Gateway, path: bytes, host: str, more: list[tuple[str, str]]
) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in [("Host", host), *more])
    status = told(gateway, b"GET %b HTTP/1.1\r\n%b\r\n" % (path, fields.encode("latin-1")))
    assert status in ANSWERS | {200}
    if status in (200, 300):
        assert host.strip().lower().startswith(("localhost", "127.0.0.1", "[::1]"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.integers(0, 200), st.integers(0, 40))
def test_a_head_with_a_piece_exchanged(gateway: Gateway, data: bytes, begin: int, size: int) -> None:
    with RawSocket(gateway.url, handshake=False) as raw:
        request = raw.upgrade_request(X_Forwarded_For="9.9.9.9", Origin="http://localhost")
        request = request[:begin] + data + request[begin + size :]
        raw.send(request)
        if b"\r\n\r\n" in request:
            assert raw.receive_head().startswith(b"HTTP/1.1 ")
        else:
            raw.end_sending()
            with contextlib.suppress(ConnectionResetError):
                while raw.socket.recv(65_536):
                    pass
