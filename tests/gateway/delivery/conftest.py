"""A gateway that may deliver to this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway

SIGNING_KEYS = ("the-newest-of-the-signing-keys", "an-older-one-that-is-still-good")


@pytest.fixture(scope="module")
def delivering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of the module's own."""
    folder = tmp_path_factory.mktemp("delivering")
    keys = folder / "signing-keys"
    keys.write_text("\n".join(SIGNING_KEYS))
    settings = ("--webhook-allowed-networks", "127.0.0.0/8", "--signing-key-file", str(keys))
    with start_gateway(folder / "data", *settings, "--webhook-timeout", "4") as running:
        yield running


@pytest.fixture
def client(delivering: Gateway) -> Iterator[Client]:
    with Client(delivering.url, project="p") as client:
        yield client
