"""Running scripts over a connection that breaks: what is done again, and what is said to be unknown."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from storage.errors import OutcomeUnknown, StoreUnavailable
from storage.records import NewMessage, Queue, Start
from storage.redis import runner
from storage.redis.client import ServerClient
from storage.redis.store import RedisStore
from tests.support.deliveries import ALPHA
from tests.support.proxy import Proxy
from tests.support.reactor import run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import ALICE, PATIENCE, LiveQueue, bodies, connected, connected_to, new_claim, text

Call = Callable[[RedisStore, Queue], Awaitable[Any]]

CLAIM = new_claim()

REPEATED: dict[str, Call] = {
    "create": lambda s, q: s.create(q),
    "purge": lambda s, q: s.purge(q, messages=True, subscriptions=True),
    "sweep": lambda s, q: s.sweep(q),
    "stats": lambda s, q: s.stats(q),
    "list_messages": lambda s, q: s.list_messages(q, Start(), 10),
    "get_messages": lambda s, q: s.get_messages(q, [1]),
    "delete_message": lambda s, q: s.delete_message(q, 1, None),
    "delete_messages": lambda s, q: s.delete_messages(q, [1], None),
    "create_claim": lambda s, q: s.create_claim(q, CLAIM, 60, 60, 1, None),
    "get_claim": lambda s, q: s.get_claim(q, CLAIM),
    "update_claim": lambda s, q: s.update_claim(q, CLAIM, 60, 60),
    "release_claim": lambda s, q: s.release_claim(q, CLAIM),
    "subscribe": lambda s, q: s.subscribe(q, "http://here", 60, {}, confirmed=True),
    "list_subscriptions": lambda s, q: s.list_subscriptions(q, 0, 1),
    "get_subscription": lambda s, q: s.get_subscription(q, 1),
    "unsubscribe": lambda s, q: s.unsubscribe(q, 1),
    "post once": lambda s, q: s.post(q, [NewMessage(text(1), 60, dedup_id=b"a")], ALICE, 600),
    "waiting_dead_letters": lambda s, q: s.waiting_dead_letters(q, 1),
    "own_deliveries": lambda s, q: s.own_deliveries(q, ALPHA),
    "deliveries": lambda s, q: s.deliveries(q, ALPHA, 0, 1),
    "undelivered": lambda s, q: s.undelivered(q, ALPHA, 1, 0, 1),
    "delivered": lambda s, q: s.delivered(q, ALPHA, 1, 1, 1),
    "delivery_postponed": lambda s, q: s.delivery_postponed(q, ALPHA, 1, 1, 5, "timeout"),
    "delivery_failed": lambda s, q: s.delivery_failed(q, ALPHA, 1, 1, 1, "timeout", None),
}
ONCE: dict[str, Call] = {
    "post": lambda s, q: s.post(q, [NewMessage(text("new"), 60)], ALICE),
    "pop_messages": lambda s, q: s.pop_messages(q, 1, None),
    "remove": lambda s, q: s.remove(q),
}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@contextlib.contextmanager
def held_back(admin: redis.Redis) -> Iterator[None]:
    """Meanwhile the server takes scripts, and runs none (CLIENT PAUSE WRITE)."""
    admin.client_pause(60_000, all=False)
    try:
        yield
    finally:
        admin.client_unpause()


def blocked(admin: redis.Redis) -> list[str]:
    """The connections whose command the server holds back."""
    return [each["id"] for each in admin.client_list() if "b" in each["flags"]]


def kill_blocked(admin: redis.Redis) -> None:
    """Wait until the server has a command that it holds back, and break that connection."""
    wait_until(lambda: blocked(admin))
    for client_id in blocked(admin):
        admin.client_kill_filter(_id=client_id)


@pytest.mark.parametrize("name", REPEATED)
def test_what_may_be_done_twice_is_sent_again(
    jobs: LiveQueue, store_server: Server, pool: ThreadPoolExecutor, name: str
) -> None:
    jobs.post("there")
    admin = store_server.client()
    with held_back(admin):
        answer = pool.submit(run, REPEATED[name], jobs.store, jobs.queue)
        kill_blocked(admin)
        wait_until(lambda: blocked(admin))
    answer.result(PATIENCE)


@pytest.mark.parametrize("name", ONCE)
def test_what_may_not_is_said_to_be_unknown(
    jobs: LiveQueue, store_server: Server, pool: ThreadPoolExecutor, name: str
) -> None:
    jobs.post("there")
    admin = store_server.client()
    with held_back(admin):
        answer = pool.submit(run, ONCE[name], jobs.store, jobs.queue)
        kill_blocked(admin)
        with pytest.raises(OutcomeUnknown):
            answer.result(PATIENCE)
    run(jobs.store.client.connected, PATIENCE)
    assert jobs.bodies() == ["there"]


def test_it_is_sent_again_once_only(jobs: LiveQueue, store_server: Server, pool: ThreadPoolExecutor) -> None:
    admin = store_server.client()
    with held_back(admin):
        answer = pool.submit(run, REPEATED["stats"], jobs.store, jobs.queue)
        kill_blocked(admin)
        kill_blocked(admin)
        with pytest.raises(OutcomeUnknown):
            answer.result(PATIENCE)


def test_without_a_second_connection_the_first_attempt_stays_unknown(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RECONNECT_PATIENCE", 0.1)
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        jobs = LiveQueue(store)
        admin = server.client()
        admin.client_pause(60_000, all=False)
        answers: list[Future[Any]] = [
            pool.submit(run, call, store, jobs.queue) for call in (REPEATED["stats"], ONCE["post"])
        ]
        wait_until(lambda: blocked(admin))
        server.kill()
        for answer in answers:
            with pytest.raises(OutcomeUnknown):
                answer.result(PATIENCE)
        for call in (REPEATED["stats"], ONCE["post"]):
            with pytest.raises(StoreUnavailable):
                run(call, store, jobs.queue)


def test_a_post_whose_answer_is_lost_was_done(
    store_server: Server, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    with Proxy(store_server.socket_path, tmp_path / "proxy.sock") as proxy, connected_to(proxy.url) as store:
        jobs = LiveQueue(store)
        jobs.post("before")
        messages = b"zg:{%016x}:messages" % jobs.queue.incarnation
        admin = store_server.client()
        proxy.swallow_answers()
        answer = pool.submit(jobs.post, "in between")
        wait_until(lambda: admin.hlen(messages) == 2)
        proxy.break_connections()
        proxy.heal()
        with pytest.raises(OutcomeUnknown):
            answer.result(PATIENCE)
        run(store.client.connected, PATIENCE)
        assert jobs.bodies() == ["before", "in between"]


def test_a_claim_whose_answer_is_lost_is_told_again(
    store_server: Server, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    with Proxy(store_server.socket_path, tmp_path / "proxy.sock") as proxy, connected_to(proxy.url) as store:
        jobs = LiveQueue(store)
        jobs.post(*range(4))
        jobs.claim(limit=1)
        claims = b"zg:{%016x}:claims" % jobs.queue.incarnation
        admin = store_server.client()
        proxy.swallow_answers()
        claim = new_claim()
        answer = pool.submit(jobs.claim, claim, limit=2)
        wait_until(lambda: admin.zcard(claims) == 2)
        proxy.break_connections()
        proxy.heal()
        told = answer.result(PATIENCE).messages
        assert bodies(told) == [1, 2]
        assert jobs.counts() == (1, 3, 0)
        held = jobs.held_by(claim)
        assert held is not None
        assert held.messages == told


def test_a_server_that_stalls_is_given_up_in_time(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server, timeout=1) as store:
        jobs = LiveQueue(store)
        os.kill(server.pid, signal.SIGSTOP)
        for call in (ONCE["post"], REPEATED["stats"]):
            with pytest.raises((OutcomeUnknown, StoreUnavailable)):
                run(call, store, jobs.queue)
        os.kill(server.pid, signal.SIGCONT)
        run(store.client.connected, PATIENCE)
        assert jobs.bodies() in (["new"], []), "it was unknown: the server may have got to it"


def test_it_recovers_when_the_server_is_back(tmp_path: Path) -> None:
    durable = start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always")
    with durable as server, connected(server) as store:
        jobs = LiveQueue(store)
        jobs.post("kept")
        server.kill()
        client = store.client
        assert isinstance(client, ServerClient)
        wait_until(lambda: client.link.connection is None)
        with pytest.raises(StoreUnavailable):
            jobs.counts()
        server.restart()
        run(store.client.connected, 10)
        assert jobs.bodies() == ["kept"]
