"""Gateways with limits that a test can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, start_gateway

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with further arguments; stopped at the end."""
    with ExitStack() as closing:
        yield lambda *arguments: closing.enter_context(start_gateway(tmp_path / "data", *arguments))
