"""Look-ups of clients' names: each in a thread of its own, one for each name."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, DeferredList

from gateway.http import names as module
from gateway.http.names import Names
from tests.support.reactor import eventually, reactor, run


class Resolver:
    """Stands for the system's, which answers when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, host: str, port: None, **_: Any) -> list[Any]:
        self.asked.append(host)
        self.answers.wait(30)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, 0, 0, "", (address, 0)) for address in ("192.0.2.1", "192.0.2.2")]


def test_the_systems_resolver_is_asked() -> None:
    assert set(run(Names(reactor).addresses, "localhost")) <= {"127.0.0.1", "::1"}
    assert run(Names(reactor).addresses, "nobody.invalid") == []


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_addresses_are_not_looked_up(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    resolver = Resolver(monkeypatch)
    assert run(Names(reactor).addresses, host) == [host]
    assert not resolver.asked


def test_one_look_up_for_all_who_want_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)

    async def scenario() -> None:
        names = Names(reactor)
        waiting = [names.addresses("host") for _ in range(5)]
        given_up = names.addresses("host")
        given_up.cancel()
        with pytest.raises(CancelledError):
            await given_up
        unknown = names.addresses("unknown")
        await eventually(lambda: sorted(resolver.asked) == ["host", "unknown"])
        resolver.answers.set()
        results = await DeferredList(waiting)
        assert results == [(True, ["192.0.2.1", "192.0.2.2"])] * 5
        assert await unknown == []
        # Nothing is kept: the next one asks anew.
        assert await names.addresses("host") == ["192.0.2.1", "192.0.2.2"]
        assert resolver.asked.count("host") == 2

    run(scenario)


def test_look_ups_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THREADS", 3)
    resolver = Resolver(monkeypatch)

    async def scenario() -> None:
        names = Names(reactor)
        waiting = [names.addresses(f"host-{number}") for number in range(10)]
        await eventually(lambda: len(resolver.asked) == 3)
        resolver.answers.set()
        assert all(found for found, _ in await DeferredList(waiting))
        assert len(resolver.asked) == 10

    run(scenario)
