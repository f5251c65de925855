"""Where the gateway may connect to on behalf of clients (gateway/http/guard.py)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol

from gateway.http.guard import Guard, GuardedEndpoint, Refused, Target, target_of
from tests.support.reactor import reactor, run

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:db8::1"),
    *("::ffff:0:127.0.0.1", "3fff::1", "4000::1", "5f00::1"),
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_not_connected_to(address: str) -> None:
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is(address: str) -> None:
    assert Guard().allows(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "0177.0.0.1", "2130706433", "127.1", "1.1.1.1 ", "[::1]", "1.1.1.1%.example.org"],
)
def test_what_is_no_address_is_not(text: str) -> None:
    assert not Guard().allows(text)


@given(number=st.integers(0, 2**32 - 1))
def test_an_address_in_ipv6_clothes_is_what_it_is(number: int) -> None:
    plain = socket.inet_ntoa(number.to_bytes(4, "big"))
    guard = Guard()
    assert guard.allows(f"::ffff:{plain}") == guard.allows(f"64:ff9b::{plain}") == guard.allows(plain)


def test_networks_that_the_operator_allows() -> None:
    guard = Guard([ip_network("10.1.0.0/16"), ip_network("::1/128")])
    assert guard.allows("10.1.2.3")
    assert guard.allows("::1")
    assert not guard.allows("10.2.0.1")
    assert not guard.allows("127.0.0.1")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.org/x?y", Target("http", "example.org", 80)),
        ("https://EXAMPLE.org", Target("https", "example.org", 443)),
        ("https://[2606:4700::1]:8443/", Target("https", "2606:4700::1", 8443)),
    ],
)
def test_targets(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org", "http://"),
        *("http:///path", "http://user:secret@example.org/", "http://user@example.org/", "http://[::1"),
        *("http://example.org:99999/", "http://exa mple.org/", "http://exa\x00mple.org/", "//example.org/"),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        target_of(url)
    assert "secret" not in str(refused.value)


class Names:
    """A resolver that knows some names; one without addresses is never answered."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = names
        self.asked = 0

    def resolveHostName(self, resolutionReceiver: IResolutionReceiver, hostName: str, *_: Any) -> Any:
        self.asked += 1
        answers = self.names[hostName]
        if answers:
            for host in answers.pop(0):
                resolutionReceiver.addressResolved(IPv4Address("TCP", host, 0))
            resolutionReceiver.resolutionComplete()


class ReactorWithNames:
    """The real reactor, but for where it looks up names."""

    def __init__(self, names: Names) -> None:
        self.nameResolver = names

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)


@pytest.fixture
def listening() -> Iterator[tuple[int, socket.socket]]:
    """A port of this machine, and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server.getsockname()[1], server


def connect(names: Names, guard: Guard, port: int, timeout: float = 5.0) -> bool:
    """Whether `host` can be connected to."""

    async def scenario() -> bool:
        endpoint = GuardedEndpoint(ReactorWithNames(names), guard, "host", port, timeout)
        protocol = await endpoint.connect(Factory.forProtocol(Protocol))
        assert isinstance(protocol, Protocol)
        assert protocol.transport is not None
        protocol.transport.loseConnection()
        return True

    return run(scenario, timeout=20)


LOCAL = Guard([ip_network("127.0.0.1/32")])


def test_a_name_that_points_inside_is_refused(listening: tuple[int, socket.socket]) -> None:
    port, server = listening
    server.settimeout(0.1)
    with pytest.raises(Refused):
        connect(Names(host=[["127.0.0.1", "10.0.0.1"]]), Guard(), port)
    with pytest.raises(TimeoutError):  # nobody has come
        server.accept()


def test_a_name_is_looked_up_once(listening: tuple[int, socket.socket]) -> None:
    port, server = listening
    # The second answer is the one that an attacker would have connected to.
    names = Names(host=[["127.0.0.1"], ["127.0.0.2"]])
    assert connect(names, LOCAL, port)
    assert server.accept()[1][0] == "127.0.0.1"
    assert names.asked == 1


def test_of_several_addresses_those_inside_are_passed_over(listening: tuple[int, socket.socket]) -> None:
    port, server = listening
    assert connect(Names(host=[["10.0.0.1", "169.254.169.254", "127.0.0.1"]]), LOCAL, port)
    assert server.accept()


def test_the_next_address_is_tried(listening: tuple[int, socket.socket]) -> None:
    port, _ = listening
    both = Guard([ip_network("127.0.0.0/8")])
    assert connect(Names(host=[["127.0.0.2", "127.0.0.1"]]), both, port)


def test_nobody_listens(listening: tuple[int, socket.socket]) -> None:
    port, server = listening
    server.close()
    with pytest.raises(ConnectError):
        connect(Names(host=[["127.0.0.1"]]), LOCAL, port)


def test_a_name_that_is_not_answered() -> None:
    with pytest.raises(DNSLookupError):
        connect(Names(host=[]), LOCAL, 80, timeout=0.05)


def test_a_name_that_has_no_address() -> None:
    with pytest.raises(DNSLookupError):
        connect(Names(host=[[]]), LOCAL, 80)


def test_an_address_with_a_name_behind_it_is_looked_up_as_a_name(
    listening: tuple[int, socket.socket],
) -> None:
    port, server = listening
    server.settimeout(0.1)
    asked = []

    def look_up(host: str) -> Deferred[list[str]]:
        asked.append(host)
        return succeed(["127.0.0.1"])

    async def scenario() -> None:
        host = target_of(f"http://1.1.1.1%.example.org:{port}/").host
        await GuardedEndpoint(reactor, Guard(), host, port, 5, look_up).connect(Factory.forProtocol(Protocol))

    with pytest.raises(Refused):
        run(scenario, timeout=20)
    with pytest.raises(TimeoutError):
        server.accept()
    assert asked == ["1.1.1.1%.example.org"]


def test_a_host_that_is_an_address() -> None:
    async def scenario() -> None:
        await GuardedEndpoint(reactor, Guard(), "127.0.0.1", 80, 5).connect(Factory.forProtocol(Protocol))

    with pytest.raises(Refused):
        run(scenario, timeout=20)
