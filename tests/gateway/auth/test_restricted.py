"""A gateway and tokens that are restricted: what is named is done, all else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from protocol.registry import ACTIONS
from tests.support.client import Client, Reply
from tests.support.expect import UNKNOWN_ID, done, post, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.rest import Rest
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")
Restricted = Callable[..., Client]

BODIES: dict[str, dict[str, Any]] = {
    "message_post": {"messages": [{"body": 1}]},
    "message_get": {"message_id": UNKNOWN_ID},
    "message_get_many": {"message_ids": [UNKNOWN_ID]},
    "message_delete": {"message_id": UNKNOWN_ID},
    "message_delete_many": {"message_ids": [UNKNOWN_ID]},
    "message_release": {"message_ids": [UNKNOWN_ID], "claim_id": UNKNOWN_ID},
    "claim_get": {"claim_id": UNKNOWN_ID},
    "claim_update": {"claim_id": UNKNOWN_ID},
    "claim_delete": {"claim_id": UNKNOWN_ID},
    "claim_subscribe": {"credit": 1},
    "claim_unsubscribe": {"claim_id": UNKNOWN_ID},
    "subscription_get": {"subscription_id": UNKNOWN_ID},
    "subscription_update": {"subscription_id": UNKNOWN_ID, "ttl": 60},
    "subscription_confirm": {"subscription_id": UNKNOWN_ID, "confirmed": True},
    "subscription_delete": {"subscription_id": UNKNOWN_ID},
    "queue_update": {"patch": [{"op": "add", "path": "/metadata/x", "value": 1}]},
}
"""What an action needs beside `queue_name`."""

ON_A_QUEUE = sorted(name for name in ACTIONS if "queue_name" in ACTIONS[name].request.__struct_fields__)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that takes ISSUER's tokens."""
    folder = tmp_path_factory.mktemp("restricted")
    with start_gateway(folder / "data", *ISSUER.arguments(folder)) as running:
        yield running


@pytest.fixture
def restricted(guarded: Gateway) -> Iterator[Restricted]:
    """Makes clients with the rights that are given; without any, one that may do everything."""
    with ExitStack() as closing:

        def make(rights: Any = None, project: str | None = None, **claims: Any) -> Client:
            client = closing.enter_context(Client(guarded.url, project=project, subprotocol=SUBPROTOCOL))
            give(client, rights, **claims)
            return client

        yield make


def give(client: Client, rights: Any = None, **claims: Any) -> None:
    """Authenticate anew with these rights."""
    token = ISSUER.token(project=client.project, rights=rights, **claims)
    done(client.request("authenticate", headers={"X-Auth-Token": token}), 200)


def not_permitted(reply: Reply, *words: str) -> None:
    refused(reply, 403, "no right", *words)
    assert reply.body["code"] == "not_permitted"


@pytest.mark.parametrize("action", ON_A_QUEUE)
def test_an_action_on_a_queue(restricted: Restricted, action: str) -> None:
    client = restricted({"queues": {"mine.*": [action], "other": ["queue_list"]}})
    body = BODIES.get(action, {})
    for name in ("other", "mine", "Mine.1", "x.mine.1", "", "é"):
        not_permitted(client.request(action, {"queue_name": name, **body}), action)
    for name in ("mine.1\n", "mine.1 "):  # they match, and are no names that a queue can have
        assert client.request(action, {"queue_name": name, **body}).status != 403
    reply = client.request(action, {"queue_name": "mine.1", **body})
    assert reply.status != 403, reply.document
    for other in ON_A_QUEUE:
        if other != action:
            not_permitted(client.request(other, {"queue_name": "mine.1", **BODIES.get(other, {})}), other)


def test_what_tells_nothing_needs_no_right(restricted: Restricted) -> None:
    client = restricted({})
    for action, status in (("ping_node", 204), ("get_home_doc", 200), ("describe", 200)):
        done(client.request(action, {}), status)
    not_permitted(client.request("queue_list", {}))


def test_a_list_shows_what_may_be_listed_in_full_pages(guarded: Gateway, restricted: Restricted) -> None:
    owner = restricted()
    for number in range(12):
        for prefix in ("a", "b", "c"):
            done(owner.request("queue_create", {"queue_name": f"{prefix}.{number:02}"}), 201)
    client = restricted({"queues": {"b.*": ["queue_list"], "c.11": ["queue_list"], "a.*": ["queue_get"]}})
    client.project = owner.project
    give(client, {"queues": {"b.*": ["queue_list"], "c.11": ["queue_list"], "a.*": ["queue_get"]}})
    seen: list[str] = []
    marker = ""
    while True:
        page = done(client.request("queue_list", {"limit": 5, "marker": marker, "detailed": True}), 200)
        seen += [queue["name"] for queue in page["queues"]]
        marker = page["marker"]
        if len(page["queues"]) < 5:
            break
    assert seen == [*(f"b.{number:02}" for number in range(12)), "c.11"]
    assert marker == "c.11"
    restriction = {"queues": {"b.*": ["queue_list"], "c.11": ["queue_list"]}}
    for rights, count in ((restriction, 13), (None, 36)):
        token = ISSUER.token(project=owner.project, rights=rights)
        with Rest(guarded.http_url, project=owner.project, token=token) as rest:
            assert rest.done("GET", "/v2/queues?with_count=true&limit=1")["count"] == count


def test_a_dead_letter_queue_needs_the_right_to_post_there(restricted: Restricted) -> None:
    rights = {
        "queues": {"jobs": ["queue_*", "message_post"], "dead.*": ["message_post"], "seen": ["queue_get"]}
    }
    client = restricted(rights)

    def create(name: str) -> Reply:
        return client.request(
            "queue_create", {"queue_name": "jobs", "metadata": {"_dead_letter_queue": name}}
        )

    def patch(op: str, name: str, key: str = "_dead_letter_queue") -> Reply:
        operation = {"op": op, "path": f"/metadata/{key}", "value": name}
        return client.request("queue_update", {"queue_name": "jobs", "patch": [operation]})

    for name in ("seen", "dead", "others"):
        not_permitted(create(name), "message_post", name)
    done(create("dead.1"), 201)
    for name in ("seen", "dead", "others"):
        not_permitted(patch("replace", name), "message_post", name)
        not_permitted(patch("add", name), "message_post", name)
    done(patch("replace", "dead.2"), 200)
    # Whoever may do it has named another: that stays, and others may be changed beside it.
    owner = restricted(project=client.project)
    operation = {"op": "replace", "path": "/metadata/_dead_letter_queue", "value": "others"}
    done(owner.request("queue_update", {"queue_name": "jobs", "patch": [operation]}), 200)
    done(patch("add", "x", key="colour"), 200)
    done(patch("remove", ""), 200)
    not_permitted(patch("add", "others"), "others")


def test_a_flavor_needs_its_right(restricted: Restricted) -> None:
    client = restricted({"queues": {"*": ["queue_*"]}, "flavors": ["fast*"]})
    create = {"queue_name": "q", "metadata": {"_flavor": "slow"}}
    not_permitted(client.request("queue_create", create), "flavor", "slow")
    done(client.request("queue_create", {"queue_name": "q", "metadata": {"_flavor": "fast"}}), 201)
    patch = [{"op": "replace", "path": "/metadata/_flavor", "value": "slow"}]
    not_permitted(client.request("queue_update", {"queue_name": "q", "patch": patch}), "slow")


def test_an_admin_may_be_restricted_too(restricted: Restricted) -> None:
    client = restricted({"queues": {"*": ["*"]}}, roles=["admin"])
    not_permitted(client.request("pool_list", {}))
    give(client, {"actions": ["pool_*", "flavor_get"], "flavors": ["fast"]}, roles=["admin"])
    done(client.request("pool_list", {}), 200)
    not_permitted(client.request("check_node_health", {}))
    not_permitted(client.request("flavor_get", {"flavor_name": "slow"}), "slow")
    refused(client.request("flavor_get", {"flavor_name": "fast"}), 404)
    pool = {"pool_name": "p", "uri": "redis://127.0.0.1:1", "weight": 1, "flavor": "slow"}
    not_permitted(client.request("pool_create", pool), "slow")
    give(client, {"actions": ["pool_*"]})
    assert client.request("pool_list", {}).body["code"] == "admin_only"


def test_rights_that_are_none_are_no_token(restricted: Restricted) -> None:
    client = restricted()
    token = ISSUER.token(project=client.project, rights={"queue": {}})
    assert client.request("authenticate", headers={"X-Auth-Token": token}).status == 401


def test_posts_behind_each_other_have_to_be_permitted_too(restricted: Restricted) -> None:
    client = restricted({"queues": {"q": ["message_post"]}})
    for queue in ("q", "q", "r", "r", "q"):
        client.send("message_post", {"queue_name": queue, "messages": [{"body": 1}]})
    client.send("message_post", {"queue_name": "q", "messages": [{"body": 1}]}, {"X-Project-ID": "other"})
    assert [client.receive_reply().status for _ in range(6)] == [201, 201, 403, 403, 201, 403]


def test_fewer_rights_end_what_they_do_not_have(restricted: Restricted) -> None:
    client, owner = restricted(project="shrinking"), restricted(project="shrinking")
    for name in ("kept", "lost"):
        done(client.request("subscription_create", {"queue_name": name}), 201)
        done(client.request("claim_subscribe", {"queue_name": f"{name}.jobs", "credit": 1}), 201)
    give(client, {"queues": {"kept": ["subscription_create"], "kept.jobs": ["claim_subscribe"]}})
    ended = client.wait_notifications(2)
    assert sorted((event["event"], event["queue_name"], event["reason"]) for event in ended) == [
        ("claim_ended", "lost.jobs", "not_permitted"),
        ("subscription_ended", "lost", "not_permitted"),
    ]
    for name in ("lost", "lost.jobs", "kept", "kept.jobs"):
        post(owner, name, name)
    came = client.wait_notifications(4)[2:]
    assert sorted(frame["queue_name"] for frame in came) == ["kept", "kept.jobs"]
    with pytest.raises(TimeoutError):
        client.receive(0.3)
