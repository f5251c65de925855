"""Queues and topics over REST, beyond what is recorded of Zaqar."""

from __future__ import annotations

import pytest

from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.rest import Rest

PATCH = "application/openstack-messaging-v2.0-json-patch"


def test_both_doors_lead_to_the_same_queue(gateway: Gateway, rest: Rest) -> None:
    rest.done("PUT", "/v2/queues/q", {"owner": "rest"})
    with Client(gateway.url, project=rest.project) as client:
        assert done(client.request("queue_get", {"queue_name": "q"}), 200) == {"owner": "rest"}


def test_metadata_are_patched_all_or_nothing(rest: Rest) -> None:
    rest.done("PUT", "/v2/queues/q", {"a": 1})
    steps = [
        {"op": "replace", "path": "/metadata/a", "value": 2},
        {"op": "add", "path": "/metadata/b", "value": [None]},
    ]
    assert rest.refused(415, "PATCH", "/v2/queues/q", steps) == "unsupported_media_type"
    patched = rest.done("PATCH", "/v2/queues/q", steps, Content_Type=PATCH)
    assert (patched["a"], patched["b"], patched["_default_message_ttl"]) == (2, [None], 3600)
    steps = [{"op": "remove", "path": "/metadata/a"}, {"op": "remove", "path": "/metadata/zzz"}]
    assert rest.refused(409, "PATCH", "/v2/queues/q", steps, Content_Type=PATCH) == "conflict"
    assert rest.done("GET", "/v2/queues/q")["a"] == 2
    assert rest.refused(404, "PATCH", "/v2/queues/none", [], Content_Type=PATCH) == "not_found"
    assert rest.refused(400, "PATCH", "/v2/queues/q", {}, Content_Type=PATCH) == "schema_violation"


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_who_follows_the_links_sees_every_queue_once(rest: Rest, limit: int) -> None:
    names = ["a", "a-b", "b", "c.d", "c"]
    for name in names:
        rest.done("PUT", f"/v2/queues/{name}")
    seen, path = [], f"/v2/queues?limit={limit}"
    while path:
        page = rest.done("GET", path)
        seen += [queue["name"] for queue in page["queues"]]
        assert len(seen) <= len(names)
        path = page["links"][0]["href"] if page["links"] else ""
    assert seen == sorted(names)


def test_the_only_queue_is_listed_once(rest: Rest) -> None:
    rest.done("PUT", "/v2/queues/one")
    page = rest.done("GET", "/v2/queues")
    assert rest.done("GET", page["links"][0]["href"]) == {"queues": [], "links": []}


def test_a_purge_takes_what_it_is_told(rest: Rest) -> None:
    rest.done("POST", "/v2/queues/q/messages", {"messages": [{"body": 1}]})
    rest.done("POST", "/v2/queues/q/subscriptions", {"subscriber": "http://example.org/"})
    assert rest.ask("POST", "/v2/queues/q/purge", {"resource_types": ["messages"]}).status == 204
    assert rest.done("GET", "/v2/queues/q/stats")["messages"]["total"] == 0
    assert len(rest.done("GET", "/v2/queues/q/subscriptions")["subscriptions"]) == 1
    assert rest.ask("POST", "/v2/queues/q/purge").status == 204
    assert rest.done("GET", "/v2/queues/q/subscriptions")["subscriptions"] == []


def test_a_topic_is_a_queue_without_claims(rest: Rest) -> None:
    assert rest.ask("PUT", "/v2/topics/t").headers["location"] == "/v2/topics/t"
    assert rest.done("GET", "/v2/topics/t") == {
        "_max_messages_post_size": 262144,
        "_default_message_ttl": 3600,
        "_default_message_delay": 0,
    }
    (resource,) = rest.done("POST", "/v2/topics/t/messages", {"messages": [{"body": "x"}]})["resources"]
    message = rest.done("GET", resource)
    assert (message["body"], message["href"]) == ("x", resource)
    assert resource.startswith("/v2/topics/t/messages/")
    page = rest.done("GET", "/v2/topics")
    assert page["topics"] == [{"name": "t", "href": "/v2/topics/t"}]
    assert rest.refused(404, "POST", "/v2/topics/t/claims") == "not_found"
