"""Gateways with limits that a test can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, starting

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with further arguments; stopped at the end."""
    with starting(tmp_path / "data") as start:
        yield start
