"""A server that refuses: full, read-only, without disk or replicas, loading, busy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import hiredis
import pytest
import redis

from storage.errors import (
    StaleQueue,
    StoreBusy,
    StoreFailed,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreUnavailable,
)
from storage.records import Deleted, Queue
from storage.redis.refusals import refusal
from storage.redis.store import RedisStore
from tests.support.reactor import run, wait_until
from tests.support.servers import Server, start_redis, start_valkey
from tests.support.store import LiveQueue, bodies, connected, new_claim, new_queue


@pytest.fixture(params=[start_valkey, start_redis], ids=["valkey", "redis7"])
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with request.param(tmp_path / "store", enable_debug_command="yes") as server:
        yield server


@pytest.fixture
def admin(own_server: Server) -> redis.Redis:
    return own_server.client()


@pytest.fixture
def jobs(own_server: Server) -> Iterator[LiveQueue]:
    with connected(own_server) as store:
        yield LiveQueue(store)


async def subscribe(store: RedisStore, queue: Queue, name: str) -> int | None:
    made = await store.subscribe(queue, name, 3600, {}, confirmed=True)
    return None if made is None else made.sequence


def test_a_full_store_takes_nothing_new_and_lets_all_else_go_on(jobs: LiveQueue, admin: redis.Redis) -> None:
    posted = jobs.post(*range(6))
    jobs.post("short", ttl=60)
    jobs.post("late", delay=30)
    held, ending = new_claim(), new_claim()
    jobs.claim(held, ttl=3600, limit=2)
    jobs.claim(ending, ttl=60, limit=1)
    subscription = run(subscribe, jobs.store, jobs.queue, "http://here")
    assert subscription is not None
    admin.config_set("maxmemory", "1mb")

    def refused() -> None:
        with pytest.raises(StoreFull):
            jobs.post("more")
        with pytest.raises(StoreFull):
            jobs.claim()
        with pytest.raises(StoreFull):
            run(subscribe, jobs.store, jobs.queue, "http://there")
        with pytest.raises(StoreFull):
            run(lambda: jobs.store.update_subscription(jobs.queue, subscription, ttl=60))
        with pytest.raises(StoreFull):
            run(jobs.store.create, new_queue())

    refused()
    assert jobs.bodies() == [3, 4, 5, "short"]
    assert jobs.counts() == (4, 3, 1)
    assert bodies(jobs.get(posted[0])) == [0]
    assert jobs.update(held, ttl=3600) is True
    assert jobs.delete(posted[0], held) is Deleted.DONE
    assert jobs.delete_many(posted[3]) is True
    jobs.release(held)
    assert bodies(jobs.pop(limit=1).messages) == [1]
    jobs.move_to(posted[-1] + 61 * 1_000_000)
    assert jobs.bodies() == [2, 4, 5, "late"], "claims and delays end, and messages expire"
    refused()
    run(jobs.store.unsubscribe, jobs.queue, subscription)
    jobs.purge()
    assert run(jobs.store.remove, jobs.queue) is True
    admin.config_set("maxmemory", "0")
    again = LiveQueue(jobs.store)
    assert again.post("fits")


def test_a_store_that_is_full_may_be_connected_to(
    own_server: Server, jobs: LiveQueue, admin: redis.Redis
) -> None:
    admin.config_set("maxmemory", "1mb")
    with connected(own_server) as another:
        assert run(another.stats, jobs.queue).free == 0


def test_a_replica_takes_nothing(jobs: LiveQueue, admin: redis.Redis) -> None:
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreReadOnly, match="replica"):
        jobs.post("more")
    with pytest.raises(StoreReadOnly, match="replica"):
        jobs.counts()
    admin.config_set("replica-serve-stale-data", "no")
    with pytest.raises(StoreReadOnly, match="without its primary"):
        run(jobs.store.client.execute, "GET", "key")
    admin.replicaof("NO", "ONE")
    assert jobs.post("more")


def test_too_few_replicas(jobs: LiveQueue, admin: redis.Redis) -> None:
    admin.config_set("min-replicas-to-write", "1")
    with pytest.raises(StoreReadOnly, match="too few replicas"):
        jobs.post("more")
    admin.config_set("min-replicas-to-write", "0")
    assert jobs.post("more")


def test_a_disk_that_takes_nothing(jobs: LiveQueue, admin: redis.Redis, own_server: Server) -> None:
    # A snapshot cannot replace a folder.
    (own_server.folder / "dump.rdb" / "in the way").mkdir(parents=True)
    admin.config_set("save", "3600 1000000")
    admin.bgsave()
    wait_until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    with pytest.raises(StoreReadOnly, match="disk"):
        jobs.post("more")
    admin.config_set("stop-writes-on-bgsave-error", "no")
    assert jobs.post("more")
    # Or it would not end, to keep what it cannot save.
    admin.config_set("save", "")


@contextmanager
def loading(admin: redis.Redis, server: Server) -> Iterator[None]:
    """The server loads what it has, for 20 seconds; it is done at once when it need not last any longer."""
    for number in range(200):
        admin.set(f"filler-{number}", os.urandom(1000))
    # Of each key 100 ms; after every kilobyte it looks at its sockets.
    admin.config_set("key-load-delay", "100000")
    admin.config_set("loading-process-events-interval-bytes", "1024")
    other = server.client()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(other.execute_command, "DEBUG", "RELOAD")
        wait_until(lambda: admin.info("persistence")["loading"])
        try:
            yield
        finally:
            admin.config_set("key-load-delay", "0")
            done.result(30)


def test_a_store_that_loads(jobs: LiveQueue, admin: redis.Redis, own_server: Server) -> None:
    jobs.post("kept")
    with loading(admin, own_server):
        with pytest.raises(StoreLoading) as caught:
            jobs.counts()
        assert caught.value.code == "store_loading"
        with pytest.raises(StoreUnavailable) as seen:
            run(jobs.store.durability)
        assert seen.value.code == "store_loading"
        admin.config_set("key-load-delay", "0")
        # One that starts now waits until it is loaded.
        with connected(own_server) as another:
            assert run(another.stats, jobs.queue).free == 1
    assert jobs.bodies() == ["kept"]


def test_a_store_that_loads_for_too_long(admin: redis.Redis, own_server: Server) -> None:
    with (
        loading(admin, own_server),
        pytest.raises(StoreLoading),
        connected(own_server, patience=3),
    ):
        pass


def test_a_store_that_is_busy_with_a_script(jobs: LiveQueue, admin: redis.Redis, own_server: Server) -> None:
    admin.config_set("busy-reply-threshold", "10")
    other = own_server.client()
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(other.eval, "while true do end", 0)
        wait_until(lambda: is_busy(admin))
        with pytest.raises(StoreBusy, match="long script"):
            jobs.counts()
        admin.script_kill()
        with pytest.raises(redis.ResponseError):
            endless.result(30)
    assert jobs.counts() == (0, 0, 0)


def is_busy(admin: redis.Redis) -> bool:
    try:
        admin.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("STALE the queue is not here", StaleQueue, None),
        ("OOM command not allowed", StoreFull, "store_full"),
        ("READONLY You can't write", StoreReadOnly, "store_read_only"),
        ("MISCONF Errors writing", StoreReadOnly, "store_read_only"),
        ("LOADING is loading", StoreLoading, "store_loading"),
        ("BUSY is busy", StoreBusy, "store_busy"),
        ("NOSCRIPT No matching script.", StoreFailed, "store_failed"),
        ("WRONGTYPE Operation against", StoreFailed, "store_failed"),
        ("", StoreFailed, "store_failed"),
    ],
)
def test_what_refusals_stand_for(text: str, error: type[Exception], code: str | None) -> None:
    raised = refusal(hiredis.ReplyError(text))
    assert isinstance(raised, error)
    assert getattr(raised, "code", None) == code
