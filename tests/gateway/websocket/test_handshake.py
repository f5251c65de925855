"""The handshake of a WebSocket: who may connect, and who is told why not (RFC 6455 section 4)."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.metrics import value
from tests.support.raw import RawSocket, split_response


def answer(gateway: Gateway, request: bytes) -> int:
    """The status of the answer to a request that is refused."""
    with RawSocket(gateway.url, handshake=False) as raw:
        raw.send(request)
        return split_response(raw.receive_rest())[0]


def upgrade(gateway: Gateway, **headers: str) -> bytes:
    with RawSocket(gateway.url, handshake=False) as raw:
        return raw.upgrade_request(**headers)


def accepted(gateway: Gateway, request: bytes) -> bytes:
    """The head of the answer to a request that is accepted."""
    with RawSocket(gateway.url, handshake=False) as raw:
        raw.send(request)
        head = raw.receive_head()
    assert head.startswith(b"HTTP/1.1 101 "), head
    return head


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80"]
)
def test_the_node_answers_to_its_own_names(gateway: Gateway, host: str) -> None:
    accepted(gateway, upgrade(gateway, Host=host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:9000",
        "127.0.0.2",
        "",
        "*",
        "[::1",
        "127.0.0.1@x.y",
    ],
)
def test_other_host_names_are_misdirected(gateway: Gateway, host: str) -> None:
    assert answer(gateway, upgrade(gateway, Host=host)) == 421
    plain = f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert answer(gateway, plain.encode()) == 421


@pytest.mark.parametrize(
    "line",
    [
        b"X-A: b\x85Host: localhost",
        b"X-A: b\nX-Forwarded-For: 9.9.9.9",
        b"X-A: b\rX-Forwarded-For: 9.9.9.9",
        b"X-A: b\x0bOrigin: http://localhost",
        b"X-A: b\x1ec: d",
        b"X-A: b\x00",
        b"X-A: b\r\n folded",
        b"Host: localhost",
        b"host:evil.example",
    ],
)
def test_no_header_is_hidden_in_another(gateway: Gateway, line: bytes) -> None:
    request = upgrade(gateway).replace(b"\r\nUpgrade", b"\r\n" + line + b"\r\nUpgrade", 1)
    assert answer(gateway, request) == 400


def test_refusals_say_why(gateway: Gateway) -> None:
    for request, word in (
        (upgrade(gateway, Host="evil.example"), b"host name"),
        (upgrade(gateway, Origin="http://evil.example"), b"origin"),
        (upgrade(gateway, X_A="\x01"), b"control characters"),
        (upgrade(gateway, X_A="x" * 20_000), b"16384 bytes"),
    ):
        with RawSocket(gateway.url, handshake=False) as raw:
            raw.send(request)
            assert word in raw.receive_rest()


def test_no_host_at_all_is_misdirected(gateway: Gateway) -> None:
    assert answer(gateway, b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n") == 421


@pytest.mark.parametrize(
    "origin", ["http://localhost", "http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"]
)
def test_pages_of_this_machine_may_connect(gateway: Gateway, origin: str) -> None:
    accepted(gateway, upgrade(gateway, Origin=origin))


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost.evil.example", "http://127.0.0.1.evil.example:80"]
)
def test_pages_of_others_may_not(gateway: Gateway, origin: str) -> None:
    assert answer(gateway, upgrade(gateway, Origin=origin)) == 403


@pytest.mark.parametrize("origin", ["null", "", "evil", "http://[::1", "http://", "file:///etc/passwd"])
def test_what_is_no_proper_origin_may_not(gateway: Gateway, origin: str) -> None:
    assert answer(gateway, upgrade(gateway, Origin=origin)) in (400, 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Version": "7"}, 400),
        ({"Sec_WebSocket_Version": "x"}, 400),
        ({"Connection": "keep-alive"}, 400),
        ({"Host": "localhost:port"}, 421),
        ({"Sec_WebSocket_Extensions": "permessage-deflate; nonsense"}, 400),
    ],
)
def test_a_handshake_that_is_none(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    assert answer(gateway, upgrade(gateway, **headers)) == status


def test_a_handshake_is_a_get(gateway: Gateway) -> None:
    assert answer(gateway, upgrade(gateway).replace(b"GET ", b"POST ", 1)) == 405


@pytest.mark.parametrize(
    "target", ["/", "/v2", "/v2/ws?token=x", "/%ff%00/../", "/?redirect=http://evil.example/"]
)
def test_any_path_leads_to_the_socket(gateway: Gateway, target: str) -> None:
    head = accepted(gateway, upgrade(gateway).replace(b"GET / ", f"GET {target} ".encode(), 1))
    assert b"location" not in head.lower()


def test_our_subprotocol_is_agreed_on(gateway: Gateway) -> None:
    head = accepted(gateway, upgrade(gateway, Sec_WebSocket_Protocol="a, zaqar-gateway.v1"))
    assert b"sec-websocket-protocol: zaqar-gateway.v1\r\n" in head.lower()


def test_no_other_subprotocol_and_no_extension_is_agreed_on(gateway: Gateway) -> None:
    request = upgrade(gateway, Sec_WebSocket_Protocol="a, b", Sec_WebSocket_Extensions="permessage-deflate")
    head = accepted(gateway, request).lower()
    assert b"sec-websocket-protocol" not in head
    assert b"sec-websocket-extensions" not in head


def test_the_handshake_may_come_byte_by_byte(gateway: Gateway) -> None:
    with RawSocket(gateway.url, handshake=False) as raw:
        for byte in raw.upgrade_request():
            raw.send(bytes([byte]))
        assert raw.receive_head().startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("size", [16_000, 20_000, 60_000])
@pytest.mark.parametrize("whole", [True, False])
def test_a_head_has_at_most_16_kib(gateway: Gateway, size: int, whole: bool) -> None:
    request = upgrade(gateway, X_Filler="x" * size)
    if size == 16_000 and whole:
        accepted(gateway, request)
    elif size > 16_384:
        assert answer(gateway, request if whole else request[:-4]) == 431


def test_who_does_not_finish_the_handshake_is_told_so(impatient_gateway: Gateway) -> None:
    before = value(impatient_gateway, "refused_total", limit="handshake_timeout")
    with ExitStack() as stack:
        begun = [stack.enter_context(RawSocket(impatient_gateway.url, handshake=False)) for _ in range(3)]
        for raw, sent in zip(begun, (b"", b"GET", upgrade(impatient_gateway)[:-2]), strict=True):
            raw.send(sent)
        assert [split_response(raw.receive_rest())[0] for raw in begun] == [408] * 3
    assert value(impatient_gateway, "refused_total", limit="handshake_timeout") == before + 3
    with Client(impatient_gateway.url) as client:
        done(client.request("ping_node"), 204)
