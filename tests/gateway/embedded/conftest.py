"""Embedded stores, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded.processes import servers_on
from gateway.embedded.valkey import EmbeddedValkey
from tests.support.reactor import reactor, run


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[..., EmbeddedValkey]]:
    made: list[EmbeddedValkey] = []

    def make(data_dir: Path = tmp_path, fsync: str = "always", **options: Any) -> EmbeddedValkey:
        made.append(EmbeddedValkey(data_dir, fsync, reactor, **options))
        return made[-1]

    yield make
    for valkey in made:
        run(valkey.stop)
    assert not any(servers_on(valkey.folder) for valkey in made)
