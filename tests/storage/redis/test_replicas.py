"""Waiting for replicas: `min_replicas` (WAIT)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList

from protocol.body import Body, Form
from storage.errors import OutcomeUnknown, TooFewReplicas
from storage.records import NewMessage, Queue
from storage.redis.store import RedisStore
from tests.support.reactor import eventually, reactor, run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import ALICE, PATIENCE, new_queue

MESSAGE = NewMessage(Body(Form.JSON, b"1"), 3600)


def is_connected(replica: Server) -> bool:
    return bool(replica.client().info("replication").get("master_link_status") == "up")


def post_once(store: RedisStore, queue: Queue) -> list[int]:
    return run(store.post, queue, [MESSAGE], ALICE)


def test_a_write_is_answered_when_the_replica_has_it(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "primary", tcp=True, repl_diskless_sync_delay="0") as primary:
        host = f"127.0.0.1 {primary.tcp_port}"
        with start_valkey(tmp_path / "replica", replicaof=host) as replica:
            wait_until(lambda: is_connected(replica))
            store = RedisStore(reactor, primary.url, PATIENCE, min_replicas=1)
            run(store.start, PATIENCE)
            queue = new_queue()
            run(store.create, queue)
            (sequence,) = post_once(store, queue)
            key = b"zg:{%016x}:messages" % queue.incarnation
            assert replica.client().hexists(key, sequence.to_bytes(7, "big"))
            run(store.stop)


def test_without_its_replica_a_write_is_refused_and_said_to_be_written(valkey: Server) -> None:
    store = RedisStore(reactor, valkey.url, 2, min_replicas=1)
    run(store.start, PATIENCE)
    queue = new_queue()
    with pytest.raises(TooFewReplicas) as caught:
        run(store.create, queue)
    assert (caught.value.status, caught.value.code) == (503, "too_few_replicas")
    with pytest.raises(TooFewReplicas):
        post_once(store, queue)
    # It stands on the primary, and reading waits for nobody.
    assert run(store.stats, queue).free == 1
    run(store.stop)


def test_a_connection_that_breaks_while_it_waits_leaves_the_outcome_open(valkey: Server) -> None:
    store = RedisStore(reactor, valkey.url, 20, min_replicas=1)
    run(store.start, PATIENCE)
    queue = new_queue()
    plain = RedisStore(reactor, valkey.url, PATIENCE)
    run(plain.start, PATIENCE)
    run(plain.create, queue)

    async def scenario() -> None:
        posts = [Deferred.fromCoroutine(store.post(queue, [MESSAGE], ALICE)) for _ in range(4)]

        async def all_written() -> bool:
            return (await plain.stats(queue)).free == 4

        await eventually(all_written)
        valkey.client().client_kill_filter(_type="normal", skipme=True)
        outcomes: list[tuple[bool, Any]] = await DeferredList(posts, consumeErrors=True)
        assert [type(outcome.value) for _, outcome in outcomes] == [OutcomeUnknown] * 4

    run(scenario)
    run(plain.stop)
    run(store.stop)
