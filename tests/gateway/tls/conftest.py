"""A gateway that speaks TLS, and what trusts it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import Gateway, start_gateway


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Who has issued the certificates."""
    return Authority()


@pytest.fixture(scope="session")
def tls(authority: Authority) -> ssl.SSLContext:
    """What clients connect with."""
    return authority.client_context()


@pytest.fixture(scope="session")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The arguments for a gateway with a certificate."""
    return arguments(authority, tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session", params=["--fast-path", "--no-fast-path"])
def secure_gateway(
    request: pytest.FixtureRequest, certificate: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with TLS, with and without the short path, that pings often and waits for little."""
    folder = tmp_path_factory.mktemp("secure") / "data"
    limits = ("--handshake-timeout", "3", "--ping-interval", "1", "--ping-timeout", "2")
    log = ("--log-level", "debug", "--fsync", "everysec")
    with start_gateway(folder, request.param, *certificate, *limits, *log) as running:
        yield running


def arguments(authority: Authority, folder: Path) -> tuple[str, ...]:
    """The arguments for a gateway with a certificate that is in this folder."""
    path, key = authority.issue(folder)
    return "--tls-cert", str(path), "--tls-key", str(key)
