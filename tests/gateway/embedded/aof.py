"""The files of an embedded store, and a client of it."""

from __future__ import annotations

from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.embedded.valkey import EmbeddedValkey


def client(valkey: EmbeddedValkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=valkey.socket_path, retry=Retry(NoBackoff(), 0))


def files_of(folder: str) -> Path:
    return Path(folder) / "appendonlydir" / "appendonly.aof.1.incr.aof"
