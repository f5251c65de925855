"""Several gateways on one MariaDB and one store: what one changes the others see; without SQL they go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.catalog.engine import make_engine
from storage.redis.changes import CHANNEL
from tests.faults.nodes import shared
from tests.support.client import Client
from tests.support.databases import DatabaseServer
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_valkey

POSTS = 1000


class Nodes:
    """Two gateways, and a client on each; both clients speak for one project."""

    def __init__(self, gateways: list[Gateway], clients: list[Client], store: Server) -> None:
        self.gateways = gateways
        self.one, self.other = clients
        self.store = store

    def listeners(self) -> int:
        """How many nodes hear of changes."""
        counts = self.store.client().execute_command("PUBSUB", "SHARDNUMSUB", CHANNEL)
        return int(counts[1])


@pytest.fixture
def nodes(mariadb: DatabaseServer, tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as stack:
        store = stack.enter_context(start_valkey(tmp_path / "store"))
        url = stack.enter_context(mariadb.database())
        settings = shared(store, url)
        gateways = [
            stack.enter_context(start_gateway(tmp_path / f"node{number}", *settings)) for number in range(2)
        ]
        clients = [stack.enter_context(Client(gateway.url, project="p")) for gateway in gateways]
        nodes = Nodes(gateways, clients, store)
        wait_until(lambda: nodes.listeners() == 2)
        yield nodes


def set_ttl(client: Client, seconds: int) -> None:
    patch = [{"op": "add", "path": "/metadata/_default_message_ttl", "value": seconds}]
    assert client.request("queue_update", {"queue_name": "q", "patch": patch}).status == 200


def ttl_of_a_new_message(client: Client) -> int:
    posted = client.request("message_post", {"queue_name": "q", "messages": [{"body": 1}]})
    found = client.request("message_get", {"queue_name": "q", "message_id": posted.body["message_ids"][0]})
    ttl: int = found.body["messages"]["ttl"]
    return ttl


def test_a_change_on_one_node_is_heard_by_the_other(nodes: Nodes) -> None:
    assert ttl_of_a_new_message(nodes.one) == 3600
    for ttl in (100, 200, 300):
        set_ttl(nodes.other, ttl)
        # Before the next comparison, which comes after ten seconds.
        wait_until(lambda: ttl_of_a_new_message(nodes.one) == ttl, timeout=8)  # noqa: B023  # in this round
    assert nodes.other.request("queue_delete", {"queue_name": "q"}).status == 204
    wait_until(lambda: nodes.one.request("queue_get", {"queue_name": "q"}).body == {}, timeout=8)


def test_a_change_that_was_not_heard_is_seen_all_the_same(nodes: Nodes) -> None:
    assert ttl_of_a_new_message(nodes.one) == 3600
    # No connection, so no announcement: then it is compared when the announcements can be heard again.
    nodes.store.client().client_pause(60_000, all=False)
    nodes.store.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    nodes.store.client().client_unpause()
    set_ttl(nodes.other, 100)
    wait_until(lambda: ttl_of_a_new_message(nodes.one) == 100)


def test_known_queues_go_on_without_sql(nodes: Nodes, mariadb: DatabaseServer) -> None:
    listener = nodes.other
    assert ttl_of_a_new_message(nodes.one) == 3600
    assert listener.request("subscription_create", {"queue_name": "q"}).status == 201
    mariadb.stop()
    try:
        for client in (nodes.one, nodes.other):
            posted = client.request("message_post", {"queue_name": "q", "messages": [{"body": "dark"}]})
            assert posted.status == 201
            claimed = client.request("claim_create", {"queue_name": "q", "limit": 1})
            assert claimed.status == 201
            assert client.request("queue_get_stats", {"queue_name": "q"}).status == 200
        listener.wait_notifications(2)
        for action, body in (
            ("queue_create", {"queue_name": "new"}),
            ("message_post", {"queue_name": "new", "messages": [{"body": 1}]}),
            ("queue_list", {}),
        ):
            refused = nodes.one.request(action, body)
            assert (refused.status, refused.body["code"]) == (503, "catalog_unavailable")
        # The comparison that comes due meanwhile takes nothing away.
        nodes.gateways[0].wait_event("catalog_not_compared", timeout=30)
        assert ttl_of_a_new_message(nodes.one) == 3600
    finally:
        mariadb.start()
    wait_until(lambda: nodes.one.request("queue_create", {"queue_name": "new"}).status == 201)


def test_a_post_to_a_known_queue_costs_no_statement(nodes: Nodes, mariadb: DatabaseServer) -> None:
    assert ttl_of_a_new_message(nodes.one) == 3600
    before = statements(mariadb)
    for _ in range(POSTS):
        posted = nodes.one.request("message_post", {"queue_name": "q", "messages": [{"body": 1}]})
        assert posted.status == 201
    # What both nodes do by themselves in this time is all there is.
    assert statements(mariadb) - before < POSTS / 4


def statements(server: DatabaseServer) -> int:
    """Statements that clients have sent to the server so far."""
    engine = make_engine(server.url.render_as_string(hide_password=False), 10)
    try:
        with engine.connect() as connection:
            row = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Questions'").one()
            return int(row[1])
    finally:
        engine.dispose()
