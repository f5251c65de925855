"""Plain HTTP on the gateway's port: versions, health, methods and connections."""

from __future__ import annotations

import json

import pytest

from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.raw import RawSocket, http, split_response

PATHS = ["/", "/healthz", "/readyz", "/metrics"]


def test_the_root_tells_the_versions(gateway: Gateway) -> None:
    status, headers, body = http(gateway.http_url, "/")
    assert status == 300
    assert headers["content-type"] == "application/json"
    assert headers["x-openstack-request-id"].startswith("req-")
    (version,) = json.loads(body)["versions"]
    assert (version["id"], version["status"]) == ("2", "CURRENT")
    assert version["updated"] == "2014-9-24T04:06:47Z"
    assert version["links"] == [{"href": "/v2/", "rel": "self"}]
    assert version["media-types"]


def test_it_is_alive_and_ready(gateway: Gateway) -> None:
    assert json.loads(http(gateway.http_url, "/healthz")[2]) == {"status": "ok"}
    status, headers, body = http(gateway.http_url, "/readyz")
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(body)
    assert found["ready"] is True
    assert found["catalog"] == {"status": "ok"}
    store = found["store"]
    assert store["server"].startswith("valkey ")
    assert (store["status"], store["role"]) == ("ok", "primary")
    assert (store["persistence"], store["eviction"]) == ("always", "noeviction")


@pytest.mark.parametrize("path", PATHS)
def test_head_tells_the_same_without_a_body(gateway: Gateway, path: str) -> None:
    status, headers, _ = http(gateway.http_url, path)
    head_status, head_headers, body = http(gateway.http_url, path, method="HEAD")
    assert body == b""
    assert head_status == status
    assert head_headers["content-type"] == headers["content-type"]
    assert head_headers["server"].startswith("zaqar-gateway/")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(gateway: Gateway, path: str, method: str) -> None:
    status, headers, _ = http(gateway.http_url, path, method=method)
    assert status == 405
    assert "GET" in headers["allow"]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get"])
def test_methods_that_nobody_needs(gateway: Gateway, method: str) -> None:
    assert http(gateway.http_url, "/", method=method)[0] in (400, 405)


@pytest.mark.parametrize(
    "path", ["/nothing", "/healthz/x", "/metrics/../x", "/%00", "/%ff", "//", "/v2", "/v1/queues"]
)
def test_what_is_not_there(gateway: Gateway, path: str) -> None:
    status, headers, body = http(gateway.http_url, path)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body).keys() >= {"title", "description"}


@pytest.mark.parametrize("path", ["/?x=1", "/healthz?", "/readyz?verbose=1"])
def test_a_query_changes_nothing(gateway: Gateway, path: str) -> None:
    assert http(gateway.http_url, path)[0] in (200, 300)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Host: evil.example", 421),  # by a name that leads here (DNS rebinding)
        ("Host: {host}\r\nHost: {host}", 400),
        ("Host: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade", 400),  # a proxy reuses connections
    ],
)
def test_each_request_of_a_connection_is_looked_at(gateway: Gateway, head: str, status: int) -> None:
    with RawSocket(gateway.http_url, handshake=False) as raw:
        good = f"GET /healthz HTTP/1.1\r\nHost: {raw.host}\r\n\r\n".encode()
        bad = f"GET /healthz HTTP/1.1\r\n{head.format(host=raw.host)}\r\n\r\n".encode()
        for _ in range(2):
            raw.send(good)
            first, headers, _ = split_response(raw.receive_head())
            assert (first, raw.receive_bytes(int(headers["content-length"]))) == (200, b'{"status": "ok"}\n')
        raw.send(bad + good)
        refused, headers, _ = split_response(raw.receive_head())
        assert (refused, headers["connection"]) == (status, "close")
        raw.receive_bytes(int(headers["content-length"]))
        assert raw.receive_rest() == b""  # nor is what comes behind it answered


def test_http_1_0_is_answered_and_closed(gateway: Gateway) -> None:
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(f"GET /healthz HTTP/1.0\r\nHost: {raw.host}\r\n\r\n".encode())
        assert split_response(raw.receive_rest())[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_read_and_thrown_away(gateway: Gateway, chunked: bool) -> None:
    how, body = "Content-Length: 1000000", b"x" * 1_000_000
    if chunked:
        how, body = "Transfer-Encoding: chunked", b"f4240\r\n" + body + b"\r\n0\r\n\r\n"
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(f"POST / HTTP/1.1\r\nHost: {raw.host}\r\n{how}\r\n\r\n".encode() + body)
        status, headers, _ = split_response(raw.receive_head())
        assert status == 405
        raw.receive_bytes(int(headers["content-length"]))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"GET\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http(gateway: Gateway, garbage: bytes) -> None:
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(garbage)
        assert split_response(raw.receive_rest())[0] in (400, 421)
    with Client(gateway.url) as client:
        done(client.request("ping_node"), 204)


def test_a_connection_that_only_opens_costs_nothing_but_itself(gateway: Gateway) -> None:
    for begun in (b"", b"G", b"GET / HTTP/1.1\r\n"):
        with RawSocket(gateway.http_url, handshake=False) as raw:
            raw.send(begun)
    assert http(gateway.http_url, "/healthz")[0] == 200
