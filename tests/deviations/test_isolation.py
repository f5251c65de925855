"""docs/compatibility.md, 1 to 7: what belongs to one stays with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deviations.conftest import Connect
from tests.support.client import Client, Form, encode
from tests.support.expect import bodies, claim, done, post, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.raw import RawSocket, http


def other_places(client: Client, connect: Connect) -> list[tuple[Client, str]]:
    """Another queue of the project, and the same queue of another project, both with a message in them."""
    stranger = connect(form=client.form)
    post(client, "other", "other")
    post(stranger, "q", "stranger")
    return [(client, "other"), (stranger, "q")]


def test_01_message_ids_are_valid_only_in_their_queue(client: Client, connect: Connect) -> None:
    (message_id,) = post(client, "q", "mine")
    for who, queue in other_places(client, connect):
        where = {"queue_name": queue}
        refused(who.request("message_get", {**where, "message_id": message_id}), 404)
        many = {**where, "message_ids": [message_id]}
        assert done(who.request("message_get_many", many), 200) == {"messages": []}
        assert done(who.request("message_delete", {**where, "message_id": message_id}), 204) == {}
        assert done(who.request("message_delete_many", many), 204) == {}
        # As a marker it stands for no place there: the list begins at the beginning.
        assert len(bodies(who, queue, marker=message_id)) == 1
    assert bodies(client, "q") == ["mine"]


def test_01_claim_ids_are_valid_only_in_their_queue(client: Client, connect: Connect) -> None:
    (message_id,) = post(client, "q", "mine")
    claim_id = claim(client, "q")["claim_id"]
    for who, queue in other_places(client, connect):
        where = {"queue_name": queue, "claim_id": claim_id}
        refused(who.request("claim_get", where), 404)
        refused(who.request("claim_update", {**where, "ttl": 60}), 404)
        done(who.request("claim_delete", where), 204)
        (own_id,) = post(who, queue, "own")
        refused(who.request("message_delete", {**where, "message_id": own_id}), 400, "does not exist")
    held = {"queue_name": "q", "claim_id": claim_id}
    assert len(done(client.request("claim_get", held), 200)["messages"]) == 1
    done(client.request("message_delete", {**held, "message_id": message_id}), 204)


def test_01_subscription_ids_are_valid_only_in_their_queue(client: Client, connect: Connect) -> None:
    body = {"queue_name": "q", "subscriber": "http://a.example/"}
    subscription_id = done(client.request("subscription_create", body), 201)["subscription_id"]
    for who, queue in other_places(client, connect):
        where = {"queue_name": queue, "subscription_id": subscription_id}
        refused(who.request("subscription_get", where), 404)
        refused(who.request("subscription_update", {**where, "ttl": 60}), 404)
        done(who.request("subscription_delete", where), 204)
    where = {"queue_name": "q", "subscription_id": subscription_id}
    assert done(client.request("subscription_get", where), 200)["ttl"] == 3600


def test_01_ids_end_with_their_queue(client: Client) -> None:
    (message_id,) = post(client, "q", 1)
    done(client.request("queue_delete", {"queue_name": "q"}), 204)
    post(client, "q", 2)
    refused(client.request("message_get", {"queue_name": "q", "message_id": message_id}), 404)
    assert bodies(client, "q", marker=message_id) == [2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b.c"), ("a.b", "c")),
        (("a", "b"), ("a:b", "b")),
        (("p", "q"), ("p{q}", "q")),
        (("p", "q"), ("P", "q")),
        (("p", "q"), ("p", "Q")),
        (("p ", "q"), ("p", "q")),
        (("ü", "q"), ("u\u0308", "q")),
    ],
)
def test_02_projects_and_queues_are_never_glued_together(
    connect: Connect, one: tuple[str, str], other: tuple[str, str]
) -> None:
    clients = [(connect(project=project), queue) for project, queue in (one, other)]
    for number, (client, queue) in enumerate(clients):
        done(client.request("queue_delete", {"queue_name": queue}), 204)
        done(client.request("queue_create", {"queue_name": queue, "metadata": {"n": number}}), 201)
        post(client, queue, number)
    for number, (client, queue) in enumerate(clients):
        assert done(client.request("queue_get", {"queue_name": queue}), 200) == {"n": number}
        assert bodies(client, queue) == [number]
        assert queue in [item["name"] for item in done(client.request("queue_list"), 200)["queues"]]


@pytest.mark.parametrize(
    "name",
    ["queues_set", "messages", "claims", "subscriptions", "a.messages", "q.rank_counter", "health", "."],
)
def test_02_no_queue_name_is_reserved(client: Client, name: str) -> None:
    post(client, name, name)
    assert bodies(client, name) == [name]
    assert done(client.request("queue_list"), 200)["queues"] == [{"name": name}]


SECRET = "s3cr3t-that-nobody-may-see"


def test_05_secrets_are_neither_echoed_nor_logged(tmp_path: Path) -> None:
    spelt = {"X-Auth-Token": SECRET, "x-auth-TOKEN": SECRET, "URL-Signature": SECRET, "url-signature": SECRET}
    with start_gateway(tmp_path / "data", "--log-level", "debug") as gateway:
        forms: tuple[Form, ...] = ("json", "msgpack")
        for form in forms:
            with Client(gateway.url, form=form) as client:
                plain = {"Client-ID": client.client_id, "X-Project-ID": client.project, "Accept": "kept"}
                # The last two are refused.
                for action in ("authenticate", "queue_list", "no_action", "queue_get"):
                    for headers in (spelt, *({**plain, key: value} for key, value in spelt.items())):
                        document: dict[str, Any] = {"action": action, "headers": headers, "body": {}}
                        client.send_raw(encode(document, client.form))
                        reply = client.receive_reply()
                        assert SECRET not in json.dumps(reply.document)
                        expected = {"Accept": "kept"} if "Accept" in headers else {}
                        assert reply.request["headers"].items() >= expected.items()
                if form == "json":
                    # The name of a header may be written with escapes.
                    escaped = encode({"action": "ping_node", "headers": {**plain, "X": SECRET}}, "json")
                    assert isinstance(escaped, str)
                    client.send_raw(escaped.replace('"X"', '"X-Auth-\\u0054oken"'))
                    assert SECRET not in json.dumps(client.receive_reply().document)
        with RawSocket(gateway.url, handshake=False) as raw:
            raw.send(raw.upgrade_request(X_Auth_Token=SECRET, Authorization=f"Bearer {SECRET}"))
            raw.receive_head()
        http(gateway.http_url, f"/?token={SECRET}")
        gateway.stop()
        assert len(gateway.log_lines) > 40
        assert not [line for line in gateway.log_lines if SECRET in line]


def test_05_no_body_is_logged(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data", "--log-level", "debug") as gateway:
        with Client(gateway.url) as client:
            done(client.request("queue_create", {"queue_name": "q", "metadata": {"a": SECRET}}), 201)
            post(client, "q", SECRET)
            refused(
                client.request("message_post", {"queue_name": "q", "messages": [{"body": SECRET, "ttl": 1}]}),
                400,
            )
        gateway.stop()
        assert not [line for line in gateway.log_lines if SECRET in line]


def test_06_nothing_can_be_pushed_over_http(client: Client, gateway: Gateway) -> None:
    done(client.request("subscription_create", {"queue_name": "q"}), 201)
    listed = done(client.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"]
    path = "/" + listed[0]["subscriber"].rpartition("/")[2]
    for method in ("POST", "PUT", "GET"):
        assert http(gateway.http_url, path, method=method)[0] == 404
    done(client.request("ping_node"), 204)
    assert client.notifications == []


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]"])
def test_06_private_places_may_be_subscribed(client: Client, host: str) -> None:
    body = {"queue_name": "q", "subscriber": f"http://{host}/"}
    done(client.request("subscription_create", body), 201)


def test_07_what_is_kept_of_an_encrypted_queue_is_ciphertext(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as gateway, Client(gateway.url) as client:
        for queue, encrypted in (("open", False), ("closed", True)):
            metadata = {"_enable_encrypt_messages": encrypted}
            done(client.request("queue_create", {"queue_name": queue, "metadata": metadata}), 201)
            post(client, queue, f"{queue} secret")
            assert bodies(client, queue) == [f"{queue} secret"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"open secret" in kept
    assert b"closed secret" not in kept
