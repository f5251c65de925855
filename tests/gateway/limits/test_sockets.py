"""Sockets beyond the limits, on a running gateway: refused at the handshake, and room when others close."""

from __future__ import annotations

import http.client
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway.limits.conftest import Start
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.metrics import value
from tests.support.reactor import wait_until


def refusal(gateway: Gateway) -> tuple[int, str]:
    """Status and reason of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as told:
        Client(gateway.url)
    return told.value.response.status_code, told.value.response.reason_phrase


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        ("max_sockets", 503, "The gateway has as many sockets as it may."),
        ("max_sockets_per_address", 429, "Your address has as many sockets as it may."),
    ],
)
@pytest.mark.parametrize("path", ["--fast-path", "--no-fast-path"])
def test_one_socket_too_many(start: Start, path: str, limit: str, status: int, words: str) -> None:
    gateway = start("--" + limit.replace("_", "-"), "2", path)
    with ExitStack() as stack:
        first, second = [stack.enter_context(Client(gateway.url)) for _ in range(2)]
        for _ in range(3):
            told, reason = refusal(gateway)
            assert told == status
            assert reason.startswith(words)
        assert value(gateway, "refused_total", limit=limit) == 3
        assert value(gateway, "connections") == 2
        # Those that are in go on, and whoever leaves makes room.
        done(first.request("ping_node"), 204)
        second.close()
        wait_until(lambda: value(gateway, "connections") == 1)
        done(stack.enter_context(Client(gateway.url)).request("ping_node"), 204)


def test_handshakes_that_come_to_nothing_do_not_count(start: Start) -> None:
    gateway = start("--max-sockets", "1")
    place = urlsplit(gateway.http_url)
    for headers in ({"Origin": "http://evil.example"}, {"Sec-WebSocket-Version": "1"}):
        for _ in range(3):
            asking = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
            asking.request(
                "GET",
                "/",
                headers={
                    **{"Upgrade": "websocket", "Connection": "Upgrade"},
                    **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
                    **headers,
                },
            )
            assert asking.getresponse().status >= 400
            asking.close()
    with Client(gateway.url) as client:
        done(client.request("ping_node"), 204)


def test_a_frame_that_is_too_large_is_counted(start: Start) -> None:
    gateway = start("--max-frame-bytes", "1024")
    with Client(gateway.url) as client:
        client.send_raw("x" * 2000)
        wait_until(lambda: value(gateway, "refused_total", limit="max_frame_bytes") == 1)
        wait_until(lambda: value(gateway, "connections") == 0)


def test_workers_divide_the_sockets(start: Start) -> None:
    gateway = start("--workers", "2", "--max-sockets", "8")
    with ExitStack() as stack:
        opened = 0
        for _ in range(40):
            try:
                stack.enter_context(Client(gateway.url))
            except InvalidStatus as refused:
                assert refused.response.status_code == 503
            else:
                opened += 1
        # Each takes its four, whomever the kernel asks; that one is asked for less than four has 1 : 10^7.
        assert opened == 8
        assert value(gateway, "refused_total", limit="max_sockets") == 32
