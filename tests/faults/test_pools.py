"""Queues in two pools: what crosses from one store to the other, and what a store costs that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_redis, start_valkey


class Pools:
    """A gateway whose queue `here` is in the pool `default`, and `there` in the pool `second`."""

    def __init__(self, gateway: Gateway, client: Client, second: Server) -> None:
        self.gateway = gateway
        self.client = client
        self.second = second

    def create(self, name: str, pool: str, metadata: dict[str, object] | None = None) -> None:
        """A queue in a pool of one's choice."""
        for each in ("default", "second"):
            weight = 1 if each == pool else 0
            changed = self.client.request("pool_update", {"pool_name": each, "weight": weight})
            assert changed.status == 200
        created = self.client.request("queue_create", {"queue_name": name, "metadata": metadata or {}})
        assert created.status == 201

    def post(self, name: str, *bodies: object) -> None:
        messages = [{"body": body} for body in bodies]
        assert self.client.request("message_post", {"queue_name": name, "messages": messages}).status == 201

    def bodies(self, name: str) -> list[object]:
        listed = self.client.request("message_list", {"queue_name": name, "echo": True})
        return [message["body"] for message in listed.body["messages"]]


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[Pools]:
    with ExitStack() as stack:
        first = stack.enter_context(start_valkey(tmp_path / "first"))
        second = stack.enter_context(start_redis(tmp_path / "second", appendonly="yes", appendfsync="always"))
        settings = ("--redis-url", first.url, "--sweep-interval", "1", "--request-timeout", "3")
        gateway = stack.enter_context(start_gateway(tmp_path / "data", *settings))
        client = stack.enter_context(Client(gateway.url))
        created = client.request("pool_create", {"pool_name": "second", "weight": 1, "uri": second.url})
        assert created.status == 201
        pools = Pools(gateway, client, second)
        pools.create("here", "default")
        pools.create("there", "second")
        yield pools


def test_each_queue_is_in_its_pool(pools: Pools) -> None:
    keys = pools.second.client().dbsize()
    pools.post("here", 1)
    assert pools.second.client().dbsize() == keys
    pools.post("there", 2)
    assert pools.second.client().dbsize() > keys
    assert (pools.bodies("here"), pools.bodies("there")) == ([1], [2])


@pytest.mark.parametrize(("source", "target"), [("here", "there"), ("there", "here")])
def test_dead_letters_cross_from_store_to_store(pools: Pools, source: str, target: str) -> None:
    rule = [
        {"op": "add", "path": "/metadata/_max_claim_count", "value": 1},
        {"op": "add", "path": "/metadata/_dead_letter_queue", "value": target},
    ]
    assert pools.client.request("queue_update", {"queue_name": source, "patch": rule}).status == 200
    pools.post(source, "bad")
    claimed = pools.client.request("claim_create", {"queue_name": source})
    assert claimed.status == 201
    pools.client.request("claim_delete", {"queue_name": source, "claim_id": claimed.body["claim_id"]})
    assert pools.client.request("claim_create", {"queue_name": source}).status == 204
    assert pools.bodies(target) == ["bad"]
    assert pools.bodies(source) == []


def test_subscribers_hear_of_queues_in_each_pool(pools: Pools) -> None:
    with Client(pools.gateway.url, project=pools.client.project) as listener:
        for name in ("here", "there"):
            assert listener.request("subscription_create", {"queue_name": name}).status == 201
        pools.post("there", 1, 2)
        pools.post("here", 3)
        told = {(each["queue_name"], each["body"]) for each in listener.wait_notifications(3)}
        assert told == {("there", 1), ("there", 2), ("here", 3)}


def test_a_store_that_is_away_costs_its_own_queues_only(pools: Pools) -> None:
    pools.post("there", 1)
    with Client(pools.gateway.url, project=pools.client.project) as listener:
        assert listener.request("subscription_create", {"queue_name": "there"}).status == 201
        pools.second.kill()
        posted = pools.client.request("message_post", {"queue_name": "there", "messages": [{"body": 2}]})
        assert posted.status == 503
        pools.post("here", 3)
        health = pools.client.request("check_node_health").body
        assert health["storage_reachable"]
        assert not health["pools"]["second"]["storage_reachable"]
        pools.second.restart()

        def there_again() -> bool:
            again = pools.client.request("message_post", {"queue_name": "there", "messages": [{"body": 4}]})
            return again.status == 201

        wait_until(there_again)
        assert listener.wait_notifications(1)[0]["body"] == 4
        assert pools.bodies("there") == [1, 4]
        health = pools.client.request("check_node_health").body
        assert health["pools"]["second"]["storage_reachable"]


def test_a_gateway_starts_without_the_store_of_a_pool(pools: Pools, tmp_path: Path) -> None:
    pools.post("there", 1)
    pools.client.close()
    pools.gateway.stop()
    pools.second.kill()
    first = f"unix://{tmp_path}/first/store.sock"
    with (
        start_gateway(tmp_path / "data", "--redis-url", first) as gateway,
        Client(gateway.url, project=pools.client.project) as client,
    ):
        refused = client.request("message_list", {"queue_name": "there"})
        assert (refused.status, refused.body["code"]) == (503, "store_unavailable")
        assert "second" in refused.body["exception"]
        assert client.request("message_list", {"queue_name": "here"}).status == 200
        pools.second.restart()
        wait_until(lambda: client.request("message_list", {"queue_name": "there"}).status == 200)
        found = client.request("message_list", {"queue_name": "there", "echo": True})
        assert [message["body"] for message in found.body["messages"]] == [1]
