"""Files that are served: the SDK, the schemas and the pages (gateway/http/files.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.export import FOLDER as SCHEMAS
from tests.support.gateway import ROOT, Gateway
from tests.support.raw import RawSocket, http, split_response

SDK = ROOT / "clients" / "js" / "src"


@pytest.mark.parametrize("path", sorted(SDK.glob("*.js")), ids=lambda path: path.name)
def test_the_sdk_is_served_as_it_is(gateway: Gateway, path: Path) -> None:
    status, headers, body = http(gateway.http_url, f"/sdk/{path.name}")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert body == path.read_bytes()
    assert headers["access-control-allow-origin"] == "*", "a page of any site may import it"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_schemas(gateway: Gateway) -> None:
    for path in SCHEMAS.glob("*.json"):
        status, headers, body = http(gateway.http_url, f"/schemas/{path.name}")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert body == path.read_bytes()
    assert json.loads(http(gateway.http_url, "/asyncapi.json")[2])["asyncapi"] == "3.0.0"
    assert json.loads(http(gateway.http_url, "/openapi.json")[2])["openapi"] == "3.1.1"


def test_pages_may_load_only_what_is_here(gateway: Gateway) -> None:
    status, headers, body = http(gateway.http_url, "/protocol/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert body == http(gateway.http_url, "/protocol/index.html")[2]


def test_a_folder_without_its_slash(gateway: Gateway) -> None:
    status, headers, _ = http(gateway.http_url, "/protocol")
    assert (status, headers["location"]) == (308, "protocol/")


def test_what_a_browser_has_is_not_sent_again(gateway: Gateway) -> None:
    tag = http(gateway.http_url, "/sdk/index.js")[1]["etag"]
    for known, status in ((tag, 304), ('"other"', 200)):
        with RawSocket(gateway.http_url, handshake=False) as raw:
            raw.send(
                f"GET /sdk/index.js HTTP/1.1\r\nHost: {raw.host}\r\n"
                f"Connection: close\r\nIf-None-Match: {known}\r\n\r\n".encode()
            )
            found, _, body = split_response(raw.receive_rest())
        assert found == status
        assert bool(body) == (status == 200)


@pytest.mark.parametrize(
    "path",
    [
        *("/sdk/", "/sdk", "/sdk/nothing.js", "/sdk/index.js/", "/sdk/../protocol.py", "/sdk/%2e%2e/site.py"),
        *(
            "/sdk/..%2f..%2fpackage.json",
            "/protocol/../../settings/__init__.py",
            "/protocol/%00",
            "/schemas/",
        ),
        *("/sdk//index.js", "/protocol/index.html/x", "/schemas/__init__.py"),
    ],
)
def test_nothing_else_is(gateway: Gateway, path: str) -> None:
    assert http(gateway.http_url, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_they_are_only_read(gateway: Gateway, method: str) -> None:
    assert http(gateway.http_url, "/sdk/index.js", method=method)[0] == 405
