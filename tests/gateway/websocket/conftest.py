"""Gateways with limits that a test can reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, start_gateway


@pytest.fixture(scope="session")
def impatient_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that waits for little, and takes few requests at once."""
    folder = tmp_path_factory.mktemp("impatient") / "data"
    limits = ("--handshake-timeout", "0.3", "--max-requests-in-flight", "2", "--max-frame-bytes", "4096")
    with start_gateway(folder, *limits) as running:
        yield running
