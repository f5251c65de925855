"""Embedded stores, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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


def client(valkey: EmbeddedValkey) -> redis.Redis:
    """A client of its server, which tries nothing again."""
    return redis.Redis(unix_socket_path=valkey.socket_path, retry=Retry(NoBackoff(), 0))


def files_of(folder: str) -> Path:
    """The file in a server's folder that holds what is written."""
    return Path(folder) / "appendonlydir" / "appendonly.aof.1.incr.aof"
