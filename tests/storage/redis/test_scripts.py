"""The scripts as the server sees them: their files, their flags, their keys."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha1
from importlib.resources import files
from pathlib import Path

import pytest

from storage.errors import StoreFailed
from storage.records import Consumer, DeadLetter
from storage.redis import scripts
from storage.redis.runner import channel, head_key
from storage.redis.scripts import Script
from storage.redis.store import RedisStore
from tests.support.deliveries import Deliveries
from tests.support.reactor import run, wait_until
from tests.support.servers import Server, free_port, start_redis, start_valkey
from tests.support.store import LiveQueue, connected_to, new_claim, new_queue

ALL = [script for script in vars(scripts).values() if isinstance(script, Script)]


@pytest.fixture(scope="module", params=[start_valkey, start_redis], ids=["valkey", "redis7"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of one node that has all slots."""
    config = {"cluster_enabled": "yes", "cluster_port": str(free_port())}
    with request.param(tmp_path_factory.mktemp("cluster"), tcp=True, **config) as server:
        client = server.client()
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        yield server


def everything(store: RedisStore) -> list[LiveQueue]:
    """Do everything that a store can do; the queues it was done with."""
    jobs, dead = LiveQueue(store), LiveQueue(store, "dead")
    jobs.post(*range(10))
    jobs.post_once("a", "once")
    jobs.gap(0)
    jobs.post("late", delay=60)
    jobs.post("short", ttl=60)
    claim = new_claim()
    (first, *_) = jobs.claim(claim, limit=3).messages
    jobs.update(claim, ttl=30)
    jobs.delete(first.sequence, claim)
    jobs.delete_many(first.sequence)
    jobs.get(first.sequence)
    jobs.held_by(claim)
    jobs.pop(limit=1)
    jobs.bodies(claimed=True, delayed=True)
    jobs.release(claim)
    jobs.claim(limit=2)
    jobs.claim(limit=20, dead_letter=DeadLetter(0, "dead", None))
    (letter, *_) = run(store.waiting_dead_letters, jobs.queue, 10)
    run(store.deliver_dead_letter, jobs.queue, letter, dead.queue)
    run(store.forget_dead_letter, jobs.queue, letter)
    run(store.dead_letter_arrived, jobs.queue, letter, dead.queue)
    consumer = Consumer(new_claim(), b"consumer", 60, 60, 1)
    jobs.post("a", "b")
    leased = run(store.lease, jobs.queue, consumer, 5, 1, DeadLetter(5, "dead", 60))
    assert leased is not None
    run(store.release_messages, jobs.queue, [leased.messages[0].sequence], consumer.claim)
    run(store.adopt_claim, jobs.queue, consumer, b"")
    run(store.lease, jobs.queue, consumer, 5, 1, None)
    run(store.lapse_claim, jobs.queue, consumer, 30)
    for name in ("http://here", "http://there"):
        made = run(store.subscribe, jobs.queue, name, 60, {}, confirmed=True)
        assert made is not None
        number = made.sequence
        run(store.update_subscription, jobs.queue, number, subscriber=f"{name}/", ttl=60)
        run(store.get_subscription, jobs.queue, number)
    run(store.unsubscribe, jobs.queue, number)
    hooks = Deliveries(jobs).own()
    hook, other = hooks.subscribe("http://hook"), hooks.subscribe("http://other")
    (failing, passing) = jobs.post("failing", "passing")
    jobs.delete(jobs.post("missed")[0])
    assert hooks.page(hook) is not None
    hooks.postponed(hook, 1)
    hooks.failed(hook, failing, dead_letter=("dead", None))
    hooks.failed(other, failing)
    hooks.delivered(hook, passing)
    hooks.unsubscribe(other)
    run(store.list_subscriptions, jobs.queue, 0, 10)
    jobs.post("last")
    return [jobs, dead]


def test_on_a_cluster_no_script_leaves_the_slot_of_its_queue(cluster: Server) -> None:
    assert cluster.tcp_url is not None
    with connected_to(cluster.tcp_url) as store:
        queues = everything(store)
        client = cluster.client()
        names = queues[0].keys(client)
        assert names >= {
            "head",
            "messages",
            "free",
            "claimed",
            "delayed",
            "due",
            "expiry",
            "states",
            "claims",
        }
        assert names >= {
            "leases",
            "held",
            "full",
            "outbox",
            "subscriptions",
            "subscribers",
            "subscription_order",
            "deliveries",
            "delivery_order",
        }
        for live in queues:
            tag = b"{%016x}" % live.queue.incarnation
            keys = list(client.scan_iter(b"*" + tag + b"*"))
            slots = {
                client.execute_command("CLUSTER", "KEYSLOT", key) for key in (*keys, channel(live.queue))
            }
            assert len(slots) == 1
            assert head_key(live.queue) in keys
        assert {key for key in client.scan_iter() if not key.startswith(b"zg:{")} == {
            b"zg:layout",
            b"zg:store",
        }
        for live in queues:
            live.advance(3600)
            live.counts()
            live.purge()
        assert run(store.remove, queues[1].queue) is True
        assert queues[1].keys(client) == {"head"}


def test_a_key_of_another_slot_is_an_error_even_on_the_same_node(cluster: Server) -> None:
    source = "#!lua\nredis.call('SET', KEYS[1], 1)\nreturn redis.call('GET', 'another')"
    script = Script("straying", source, sha1(source.encode()).hexdigest(), writes=True)
    assert cluster.tcp_url is not None
    with connected_to(cluster.tcp_url) as store, pytest.raises(StoreFailed, match="same slot"):
        run(store.scripts.run, script, new_queue(), repeatable=False)


def test_there_is_a_script_for_every_file_and_operation() -> None:
    lua = Path(str(files("storage.redis") / "lua"))
    here = {str(path.relative_to(lua).with_suffix("")) for path in lua.rglob("*.lua")}
    shared = {"common", "opening", "leasing", "moving/common", "lost", "once", "room"}
    shared |= {"delivering", "listing", "registry/common"}
    twice = {"pop", "post_once", "delivery_dead_lettered"}
    assert here - shared == {script.name for script in ALL} - twice
    assert len({script.sha for script in ALL}) == len(ALL)


@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_the_server_knows_a_script_by_its_digest(store_server: Server, script: Script) -> None:
    assert store_server.client().script_load(script.source) == script.sha


@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_what_adds_data_is_refused_when_memory_is_full(script: Script) -> None:
    adds = {"claim", "create", "deliver", "lease", "post", "subscribe", "subscription_update"}
    adds |= {"moving/arrive", "moving/import", "post_once", "delivery_dead_lettered", "registry/add"}
    assert script.source.startswith("#!lua\n" if script.name in adds else "#!lua flags=allow-oom\n")


def test_scripts_that_the_server_forgot_are_sent_again(store: RedisStore, store_server: Server) -> None:
    client = store_server.client()
    jobs = LiveQueue(store)
    for n in range(3):
        client.script_flush()
        assert jobs.post(n)
        client.script_flush()
        assert jobs.bodies() == list(range(n + 1))
    client.script_flush()
    assert len(jobs.claim().messages) == 3


def test_a_script_that_fails_says_where(store: RedisStore) -> None:
    source = "#!lua\nreturn redis.call('GET')"
    script = Script("failing", source, sha1(source.encode()).hexdigest(), writes=False)
    with pytest.raises(StoreFailed, match="Wrong number of args"):
        run(store.scripts.run, script, new_queue(), repeatable=True)


def test_a_queue_whose_keys_hold_something_else_fails_alone(store: RedisStore, store_server: Server) -> None:
    broken, whole = LiveQueue(store), LiveQueue(store)
    store_server.client().set(head_key(broken.queue).replace(b"head", b"free"), "no zset")
    with pytest.raises(StoreFailed, match="WRONGTYPE"):
        broken.counts()
    assert whole.counts() == (0, 0, 0)
