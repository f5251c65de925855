"""Gateways on both ways to take frames, and with limits that a test can reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, start_gateway


@pytest.fixture(scope="session", params=["--fast-path", "--no-fast-path"])
def gateway(request: pytest.FixtureRequest, gateway: Gateway) -> Gateway:
    """The gateway, with and without the short path."""
    if request.param == "--fast-path":
        return gateway
    plain: Gateway = request.getfixturevalue("plain_gateway")
    return plain


@pytest.fixture(scope="session", params=["--fast-path", "--no-fast-path"])
def impatient_gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that waits for little, and takes few requests at once."""
    folder = tmp_path_factory.mktemp("impatient") / "data"
    limits = ("--handshake-timeout", "2", "--max-requests-in-flight", "2", "--max-frame-bytes", "4096")
    with start_gateway(folder, request.param, *limits) as running:
        yield running
