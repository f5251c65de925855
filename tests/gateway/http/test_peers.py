"""Whose connection it is, behind which proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.peers import client_address, parse_networks

PROXIES = parse_networks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


def client(peer: str, forwarded: str | None = None) -> str:
    return client_address(peer, {} if forwarded is None else {"x-forwarded-for": forwarded}, PROXIES)


@pytest.mark.parametrize("forwarded", [None, "", "9.9.9.9", "10.0.0.1", "what?"])
def test_what_a_stranger_says_does_not_count(forwarded: str | None) -> None:
    assert client("192.0.2.1", forwarded) == "192.0.2.1"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("1.1.1.1, 9.9.9.9", "9.9.9.9"),  # the first is the client's own claim
        ("1.1.1.1,9.9.9.9 , 10.1.1.1,10.2.2.2", "9.9.9.9"),
        ("not-an-address, 9.9.9.9", "9.9.9.9"),
        ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ("9.9.9.9:4711", "9.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711, [fd00::1]", "2001:db8::1"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("::ffff:10.0.0.9, ::ffff:10.0.0.8", "10.0.0.9"),
    ],
)
def test_a_trusted_proxy_tells_who_it_is(forwarded: str, address: str) -> None:
    assert client("10.0.0.1", forwarded) == address


@pytest.mark.parametrize(
    "forwarded",
    [None, "", " ", ",", "unknown", "9.9.9.9,", "9.9.9", "9.9.9.9, _hidden", "1:2", "[::1", "٩.9.9.9"],
)
def test_what_is_malformed_leaves_the_peer(forwarded: str | None) -> None:
    assert client("10.0.0.1", forwarded) == "10.0.0.1"


def test_a_peer_that_listens_on_all_addresses_sees() -> None:
    assert client("::ffff:10.0.0.1", "9.9.9.9") == "9.9.9.9"
    assert client("fd00::7", "9.9.9.9") == "9.9.9.9"
    assert client("fe80::1%eth0", "9.9.9.9") == "fe80::1%eth0"


def test_nobody_is_trusted_unless_told() -> None:
    assert client_address("127.0.0.1", {"x-forwarded-for": "9.9.9.9"}, ()) == "127.0.0.1"
    assert client_address("", {}, PROXIES) == ""


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/8/8"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits|Only one"):
        parse_networks([text])


@given(st.text(st.characters(codec="latin-1")), st.ip_addresses())
def test_a_client_cannot_choose_its_address(claim: str, own: object) -> None:
    """Whatever it claims, the proxy appends the truth."""
    truth = client(str(own))
    if truth.startswith(("10.", "fd")) or truth == "127.0.0.1":
        return
    assert client("10.0.0.1", f"{claim}, {own}") == truth
