"""Clients, and a gateway whose time a test can move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.service import Gateway as InsideGateway
from gateway.settings import Settings
from storage.redis.store import RedisStore
from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.reactor import reactor, run
from tests.support.servers import Server
from tests.support.store import SECOND

Connect = Callable[..., Client]


@pytest.fixture
def connect(gateway: Gateway) -> Iterator[Connect]:
    """Connects clients; closed at the end. Parameters are those of `Client`."""
    with ExitStack() as closing:

        def make(**options: str) -> Client:
            return closing.enter_context(Client(gateway.url, **options))  # type: ignore[arg-type]  # any of them

        yield make


@pytest.fixture(params=["json", "msgpack"])
def client(request: pytest.FixtureRequest, connect: Connect) -> Client:
    """A client of each form in turn, with a project of its own."""
    return connect(form=request.param)


class TimeMachine:
    """A gateway in this process, whose store's clock can be set forward."""

    def __init__(self, url: str, store: RedisStore) -> None:
        self.url = url
        self._store = store

    def advance(self, seconds: float) -> None:
        """Let so much time pass for everything that is stored."""
        self._store.scripts.clock_offset += int(seconds * SECOND)


@pytest.fixture
def time_machine(tmp_path: Path, valkey: Server) -> Iterator[TimeMachine]:
    """A gateway whose time moves on by what the test says, beside what really passes."""
    settings = Settings(data_dir=tmp_path / "data", port=0, redis_url=valkey.url)
    gateway = InsideGateway(reactor, settings)
    try:
        run(gateway.start)
        assert gateway.node is not None
        store = gateway.node.stores.default.store
        assert isinstance(store, RedisStore)
        yield TimeMachine(gateway.url, store)
    finally:
        run(gateway.stop)
