"""SIGHUP: new connections see the new certificate, open sockets stay."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority, shown_name
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway, processes_in, start_gateway
from tests.support.raw import RawSocket
from tests.support.reactor import wait_until

CONNECTIONS = 12
"""As many as reach both of two workers, but once in two thousand times."""


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def gateway(workers: int, authority: Authority, tmp_path: Path) -> Iterator[Gateway]:
    certificate, key = authority.issue(tmp_path, "old")
    certificate.rename(tmp_path / "port.pem")
    key.rename(tmp_path / "port.key")
    paths = ("--tls-cert", str(tmp_path / "port.pem"), "--tls-key", str(tmp_path / "port.key"))
    with start_gateway(tmp_path / "data", "--workers", str(workers), *paths) as running:
        yield running


def names(gateway: Gateway, tls: ssl.SSLContext) -> set[str]:
    """The names in the certificates that new connections see."""
    found = set()
    for _ in range(CONNECTIONS):
        with RawSocket(gateway.url, handshake=False, tls=tls) as raw:
            assert isinstance(raw.socket, ssl.SSLSocket)
            found.add(shown_name(raw.socket))
    return found


def test_a_new_certificate(
    gateway: Gateway, workers: int, authority: Authority, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    assert names(gateway, tls) == {"old"}
    clients = [Client(gateway.url, tls=tls) for _ in range(CONNECTIONS)]
    try:
        loaded = sum(event["event"] == "certificate_loaded" for event in gateway.events)
        certificate, key = authority.issue(tmp_path, "new")
        certificate.rename(tmp_path / "port.pem")
        key.rename(tmp_path / "port.key")
        gateway.send_signal(signal.SIGHUP)
        gateway.wait_event("certificate_loaded", count=loaded + workers)
        assert names(gateway, tls) == {"new"}
        for client in clients:
            done(client.request("ping_node"), 204)
    finally:
        for client in clients:
            client.close()


def test_a_broken_file_changes_nothing(
    gateway: Gateway, workers: int, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    with Client(gateway.url, tls=tls) as client:
        (tmp_path / "port.pem").write_bytes(b"garbage")
        gateway.send_signal(signal.SIGHUP)
        event = gateway.wait_event("certificate_not_reloaded", count=workers)
        assert event["level"] == "error"
        assert str(tmp_path / "port.pem") in event["reason"]
        done(client.request("ping_node"), 204)
        assert names(gateway, tls) == {"old"}


def test_the_last_of_several_is_shown(
    gateway: Gateway, authority: Authority, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    for number in range(3):
        certificate, key = authority.issue(tmp_path, f"new{number}")
        certificate.rename(tmp_path / "port.pem")
        key.rename(tmp_path / "port.key")
        gateway.send_signal(signal.SIGHUP)
    wait_until(lambda: names(gateway, tls) == {"new2"})


def test_without_tls_it_ends_the_gateway_and_its_store(tmp_path: Path, workers: int) -> None:
    # Whoever runs the tests may have had it ignored, as nohup does.
    with start_gateway(
        tmp_path / "data", "--workers", str(workers), prefix=["env", "--default-signal=HUP"]
    ) as gateway:
        gateway.send_signal(signal.SIGHUP)
        assert gateway.wait() == 0
        assert processes_in(tmp_path / "data") == []


def test_without_tls_it_may_be_ignored(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data", prefix=["env", "--ignore-signal=HUP"]) as gateway:
        gateway.send_signal(signal.SIGHUP)
        with Client(gateway.url) as client:
            done(client.request("ping_node"), 204)
