"""Which names the node answers to, and which pages may connect."""

from __future__ import annotations

import pytest

from gateway.http.hosts import ANY, check_allowed_host, check_origin, host_allowed, host_name, origin_allowed

HOSTS = {"gateway.example", "::1"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("gateway.example", "gateway.example"),
        ("GateWay.Example:443", "gateway.example"),
        ("gateway.example:", "gateway.example"),
        ("[::1]:9000", "::1"),
        ("[FE80::1]", "fe80::1"),
        ("", ""),
        ("::1", ""),
        ("user@gateway.example", ""),
        ("gateway.example/x", ""),
        ("gateway.example#x", ""),
        ("gateway.example, evil.example", ""),
        ("gateway.example:port", ""),
        ("gateway.example:80:80", ""),
        ("[gateway.example]", ""),
        ("gateway.example\x85", ""),
    ],
)
def test_the_name_in_a_host_header(value: str, name: str) -> None:
    assert host_name(value) == name


def test_only_names_that_are_allowed_are_answered_to() -> None:
    assert host_allowed("Gateway.Example:1", HOSTS)
    assert host_allowed("[::1]", HOSTS)
    assert not host_allowed("localhost", HOSTS)
    assert not host_allowed("", HOSTS)
    assert host_allowed("anything", {ANY})
    assert host_allowed("", {ANY})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Gateway.Example", "gateway.example"),
        ("[::1]", "::1"),
        ("0:0::1", "::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("*", "*"),
    ],
)
def test_allowed_hosts_are_compared_as_they_are_sent(text: str, name: str) -> None:
    assert check_allowed_host(text) == name


@pytest.mark.parametrize("text", ["", "gateway.example:9000", "http://gateway.example", "a b", "*.example"])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_allowed_host(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
        ("*", "*"),
    ],
)
def test_origins_are_compared_as_browsers_write_them(text: str, origin: str) -> None:
    assert check_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "app.example", "https://", "https://app.example/", "https://a b", "https://*", "//app.example"],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        check_origin(text)


def allowed(origin: str | None, *origins: str, host: str = "gateway.example:9000") -> bool:
    headers = {"host": host} if origin is None else {"host": host, "origin": origin}
    return origin_allowed(headers, HOSTS, set(origins))


@pytest.mark.parametrize(
    "origin", [None, "http://gateway.example", "https://GATEWAY.example:8443", "http://[::1]:3000"]
)
def test_pages_of_the_gateways_own_hosts_may_connect(origin: str | None) -> None:
    assert allowed(origin)


def test_a_page_of_the_host_that_is_asked_may_connect() -> None:
    assert allowed("https://other.example", host="other.example:9000")
    assert not allowed("null", host="null")
    assert not allowed("https://", host="")


def test_pages_that_are_listed_may_connect() -> None:
    assert allowed("https://app.example", "https://app.example")
    assert allowed("https://app.example:443", "https://app.example")
    assert allowed("null", "null")
    for origin in ("https://app.example", "null", "", "nonsense"):
        assert allowed(origin, "*")


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://app.example@evil.example",
        "https://app.example, https://evil.example",
        "null",
        "",
        "app.example",
    ],
)
def test_others_may_not(origin: str) -> None:
    assert not allowed(origin, "https://app.example")


def test_the_header_of_before_rfc_6455_counts() -> None:
    headers = {"host": "gateway.example", "sec-websocket-origin": "http://evil.example"}
    assert not origin_allowed(headers, HOSTS, set())
