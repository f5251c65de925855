"""Announcements of changes of the catalog, between nodes that share a store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from storage.redis.changes import CHANNEL, CatalogChanges, Change, PoolsChanged, QueueChanged
from storage.redis.store import RedisStore
from tests.support.reactor import eventually, reactor, run
from tests.support.servers import Server, start_valkey
from tests.support.store import PATIENCE


class Node:
    """One node's announcements."""

    def __init__(self, server: Server) -> None:
        self.store = RedisStore(reactor, server.url, 5)
        self.changes = CatalogChanges(reactor, self.store.client, server.url, 5)
        self.heard: list[Change] = []
        self.listened = 0

    async def start(self) -> None:
        await self.store.start(PATIENCE)
        self.changes.start(self.heard.append, self._listening)
        await eventually(lambda: self.listened)

    def _listening(self) -> None:
        self.listened += 1

    async def stop(self) -> None:
        await self.changes.stop()
        await self.store.stop()


@pytest.fixture
def nodes(store_server: Server) -> Iterator[list[Node]]:
    nodes = [Node(store_server) for _ in range(3)]
    for node in nodes:
        run(node.start)
    yield nodes
    for node in nodes:
        run(node.stop)


def test_all_but_the_one_that_tells_hear_of_it(nodes: list[Node]) -> None:
    told: list[Change] = [QueueChanged("p", "q"), PoolsChanged(), QueueChanged("pröjekt", "a.b")]

    async def scenario() -> None:
        for change in told:
            await nodes[0].changes.tell(change)
        await nodes[1].changes.tell(PoolsChanged())
        await eventually(lambda: len(nodes[2].heard) == 4)
        assert nodes[2].heard == [*told, PoolsChanged()]
        assert nodes[1].heard == told
        assert nodes[0].heard == [PoolsChanged()]

    run(scenario)


def test_what_a_later_version_may_tell_is_passed_over(nodes: list[Node]) -> None:
    async def scenario() -> None:
        for fields in (["queue", "p", "q", "more"], ["something"], []):
            await nodes[0].store.client.execute(
                "SPUBLISH", CHANNEL, msgpack.packb([b"sender", *fields]), key=CHANNEL
            )
        await nodes[0].changes.tell(PoolsChanged())
        await eventually(lambda: nodes[1].heard)
        assert nodes[1].heard == [PoolsChanged()]

    run(scenario)


def test_a_pause_is_told_and_nothing_fails_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with start_valkey(tmp_path) as server:
        node = Node(server)
        run(node.start)
        server.kill()
        with caplog.at_level(logging.WARNING):
            run(node.changes.tell, PoolsChanged())
        assert "catalog_change_not_announced" in caplog.text
        server.restart()
        run(lambda: eventually(lambda: node.listened == 2))
        run(node.stop)
