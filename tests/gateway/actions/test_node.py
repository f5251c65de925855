"""Authentication and the node itself, through a socket in both forms (protocol.md sections 1, 3 and 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.client import Client, encode
from tests.support.expect import done, misshapen

WITHOUT_BODY = ["get_home_doc", "check_node_health", "ping_node", "queue_list"]


@pytest.mark.parametrize("body", [None, {}, {"further": 1}])
def test_authentication_always_succeeds_where_none_is_configured(client: Client, body: Any) -> None:
    reply = client.request("authenticate", body, {"X-Auth-Token": "any"})
    assert done(reply, 200) == {"message": "Authentified."}


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "t"}, {"X-Project-ID": "p"}])
def test_authentication_needs_project_and_token(client: Client, headers: dict[str, str]) -> None:
    client.send_raw(encode({"action": "authenticate", "headers": headers}, client.form))
    misshapen(client.receive_reply(), "headers")


def test_authentication_needs_no_client_id(client: Client) -> None:
    headers = {"X-Project-ID": client.project, "X-Auth-Token": "t"}
    client.send_raw(encode({"action": "authenticate", "headers": headers}, client.form))
    done(client.receive_reply(), 200)


def test_the_home_document_has_links(client: Client) -> None:
    resources = done(client.request("get_home_doc"), 200)["resources"]
    assert {"rel/queues", "rel/queue", "rel/messages", "rel/claims"} <= resources.keys()
    assert resources.pop("service-desc") == {"href": "/openapi.json"}
    for link in resources.values():
        assert link["href-template"].startswith("/v2/queues")


def test_the_node_answers_a_ping(client: Client) -> None:
    assert done(client.request("ping_node"), 204) == {}


def test_the_node_tells_its_health(client: Client) -> None:
    body = done(client.request("check_node_health"), 200)
    assert body["storage_reachable"] is True
    assert body["catalog_reachable"] is True
    operations = body["operation_status"]
    # As upstream's, in its order.
    assert list(operations) == [
        *("create_queue", "post_messages", "claim_messages", "list_messages", "delete_messages"),
        *("delete_claim", "bulk_delete_messages", "delete_queue"),
    ]
    for operation in operations.values():
        assert operation["succeeded"] is True, body
        assert operation["ref"] is None
        assert isinstance(operation["seconds"], float)
    assert done(client.request("queue_list"), 200)["queues"] == []


@pytest.mark.parametrize("action", WITHOUT_BODY)
def test_a_body_may_be_absent_but_never_null(client: Client, action: str) -> None:
    assert client.request(action).status in (200, 204)
    assert client.request(action, {}).status in (200, 204)
    headers = {"Client-ID": client.client_id, "X-Project-ID": client.project}
    client.send_raw(encode({"action": action, "headers": headers, "body": None}, client.form))
    misshapen(client.receive_reply(), "body")


@pytest.mark.parametrize("action", ["queue_get", "message_post", "claim_create", "subscription_create"])
def test_elsewhere_a_body_is_needed(client: Client, action: str) -> None:
    misshapen(client.request(action), "body")
    bodies: tuple[Any, ...] = ([], "x", 1)
    for body in bodies:
        headers = {"Client-ID": client.client_id, "X-Project-ID": client.project}
        client.send_raw(encode({"action": action, "headers": headers, "body": body}, client.form))
        misshapen(client.receive_reply(), "body")


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"X-Project-ID": "p"}, "Client-ID"),
        ({"Client-ID": "c"}, "X-Project-ID"),
        ({"client-id": "c", "x-project-id": "p"}, "Client-ID"),
        ({"Client-ID": 5, "X-Project-ID": "p"}, "Client-ID"),
        ({"Client-ID": "c", "X-Project-ID": None}, "X-Project-ID"),
        ({"Client-ID": "c", "X-Project-ID": "p", "User-Agent": 1}, "User-Agent"),
        ({"Client-ID": "c", "X-Project-ID": "p", "Date": None}, "Date"),
        ({"Client-ID": "c", "X-Project-ID": "p", "Accept": []}, "Accept"),
        ({"Client-ID": "c", "X-Project-ID": "p", "X-Auth-Token": 1}, "X-Auth-Token"),
        ([], "headers"),
        (None, "headers"),
        ("x", "headers"),
    ],
)
def test_headers_are_demanded(client: Client, headers: Any, word: str) -> None:
    client.send_raw(encode({"action": "ping_node", "headers": headers, "body": {}}, client.form))
    misshapen(client.receive_reply(), word)


def test_the_reply_repeats_the_request(client: Client) -> None:
    further = {"Accept": "a", "User-Agent": "u", "Date": "d", "X-Own": [1]}
    reply = client.request("queue_get", {"queue_name": "q", "own": 1}, further)
    headers = {"Client-ID": client.client_id, "X-Project-ID": client.project, **further}
    body = {"queue_name": "q", "own": 1}
    assert reply.request == {"action": "queue_get", "body": body, "headers": headers, "api": "v2"}
    assert client.request("queue_list").request["body"] == {}


def test_further_keys_of_a_request_are_ignored(client: Client) -> None:
    headers = {"Client-ID": client.client_id, "X-Project-ID": client.project}
    document = {"action": "ping_node", "headers": headers, "body": {}, "api": "v1.1", "id": 5, "x": [{}]}
    client.send_raw(encode(document, client.form))
    reply = client.receive_reply()
    done(reply, 204)
    assert reply.document.keys() == {"request", "body", "headers"}


@pytest.mark.parametrize("document", [[], 1, "x", None, True, 1.5])
def test_a_request_is_an_object(client: Client, document: Any) -> None:
    client.send_raw(encode(document, client.form))
    reply = client.receive_reply()
    assert done(reply, 400)["error"] == "Unexpected body type. Expected dict or dict like."
    assert reply.request == {"action": None, "body": {}, "headers": {}, "api": "v2"}


@pytest.mark.parametrize(
    "action", [None, 1, True, 1.5, [], {"a": []}, "", "queue_destroy", "Queue_list", "x" * 9]
)
def test_an_unknown_action_is_named(client: Client, action: Any) -> None:
    client.send_raw(encode({"action": action, "headers": {}, "body": {}}, client.form))
    reply = client.receive_reply()
    assert done(reply, 400)["error"] == f"{action} is not a valid action"
    assert reply.request["action"] == action


@pytest.mark.parametrize("project", ["p", "p" * 256, "ü😀", "a.b:c{d}/*", " "])
def test_projects_are_told_apart(client: Client, project: str) -> None:
    name = {"queue_name": "q"}
    headers = {"X-Project-ID": project}
    client.request("queue_delete", name, headers)
    done(client.request("queue_create", {**name, "metadata": {"of": project}}, headers), 201)
    assert done(client.request("queue_get", name, headers), 200) == {"of": project}
    assert done(client.request("queue_get", name), 200) == {}
    done(client.request("queue_delete", name, headers), 204)
