"""One client for each test, of a project of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway
from tests.support.rest import Rest


@pytest.fixture
def rest(gateway: Gateway) -> Iterator[Rest]:
    """A client of the running gateway."""
    with Rest(gateway.http_url) as client:
        yield client
