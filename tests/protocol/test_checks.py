"""The 400s that come after authentication."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.checks import check, client_id
from protocol.codec import Form
from protocol.envelope import read
from protocol.errors import BadRequest
from protocol.incoming import Incoming
from tests.protocol.strategies import as_json

CLIENT = "11111111-1111-4111-8111-111111111111"


def request(action: str, body: dict[str, Any], client: str = CLIENT, project: str = "p") -> Incoming:
    incoming = read(
        as_json({"action": action, "headers": {"Client-ID": client, "X-Project-ID": project}, "body": body}),
        Form.JSON,
    )
    assert incoming.failure is None
    return incoming


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("queue_list", {}),
        ("queue_list", {"limit": 1}),
        ("queue_list", {"limit": 20}),
        ("queue_create", {"queue_name": "q" * 64}),
        ("queue_get", {"queue_name": "a b"}),
        ("queue_delete", {"queue_name": ""}),
        ("message_list", {"queue_name": "q" * 65}),
        ("queue_purge", {"queue_name": "q"}),
        ("queue_purge", {"queue_name": "q", "resource_types": []}),
        ("queue_purge", {"queue_name": "q", "resource_types": ["messages", "subscriptions"]}),
        ("message_post", {"queue_name": "q", "messages": [{}] * 1000}),
        ("message_get_many", {"queue_name": "q", "message_ids": ["x"] * 20}),
        ("message_delete_many", {"queue_name": "q", "message_ids": ["x"], "claim_ids": []}),
        ("message_delete_many", {"queue_name": "q", "pop": 20}),
        ("claim_create", {"queue_name": "q", "ttl": 60, "grace": 43200, "limit": 1}),
        ("claim_update", {"queue_name": "q", "claim_id": "c", "ttl": 43200, "grace": -1}),
        ("subscription_create", {"queue_name": "q", "ttl": 10**15}),
        ("subscription_update", {"queue_name": "q", "subscription_id": "s", "ttl": 60}),
        ("subscription_update", {"queue_name": "q", "subscription_id": "s", "subscriber": ""}),
        ("subscription_update", {"queue_name": "q", "subscription_id": "s", "options": {}}),
        ("pool_create", {"pool_name": "p" * 64, "uri": "", "weight": 2**32 - 1, "flavor": None}),
        ("pool_update", {"pool_name": "a b", "weight": 0}),
        ("pool_update", {"pool_name": "", "flavor": None}),
        ("pool_update", {"pool_name": "p", "uri": ""}),
        ("pool_update", {"pool_name": "p", "options": {}}),
        ("flavor_create", {"flavor_name": "f", "pool_name": "a b"}),
        ("flavor_create", {"flavor_name": "f", "pool_name": "p", "pool_list": ["p"] * 100}),
        ("flavor_update", {"flavor_name": "a b", "pool_list": [""]}),
    ],
)
def test_what_may_be_asked(action: str, body: dict[str, Any]) -> None:
    check(request(action, body))


@pytest.mark.parametrize(
    ("action", "body", "text"),
    [
        ("queue_list", {"limit": 0}, "limit must be from 1 to 20, not 0"),
        ("queue_list", {"limit": -1}, "limit must be from 1 to 20, not -1"),
        ("queue_list", {"limit": 10**20}, "limit must be from 1 to 20, not 1" + "0" * 20),
        ("queue_list", {"limit": 10**60}, "limit must be from 1 to 20, not a number of over 40 digits"),
        ("subscription_list", {"queue_name": "q", "limit": 21}, "limit must be from 1 to 20, not 21"),
        ("claim_create", {"queue_name": "q", "ttl": 59}, "ttl must be from 60 to 43200, not 59"),
        ("claim_create", {"queue_name": "q", "grace": 43201}, "grace must be from 60 to 43200, not 43201"),
        (
            "claim_update",
            {"queue_name": "q", "claim_id": "c", "ttl": 0},
            "ttl must be from 60 to 43200, not 0",
        ),
        ("subscription_create", {"queue_name": "q", "ttl": 59}, "ttl must be at least 60, not 59"),
        ("subscription_create", {"queue_name": "q", "ttl": 0}, "ttl must be at least 60, not 0"),
        (
            "message_post",
            {"queue_name": "q", "messages": []},
            "messages must have from 1 to 1000 items, not 0",
        ),
        (
            "message_post",
            {"queue_name": "q", "messages": [{}] * 1001},
            "messages must have from 1 to 1000 items, not 1001",
        ),
        (
            "message_get_many",
            {"queue_name": "q", "message_ids": []},
            "message_ids must have from 1 to 20 items, not 0",
        ),
        (
            "message_delete_many",
            {"queue_name": "q", "message_ids": ["x"] * 21},
            "message_ids must have from 1 to 20 items, not 21",
        ),
        ("message_delete_many", {"queue_name": "q", "pop": 21}, "pop must be from 1 to 20, not 21"),
        ("message_delete_many", {"queue_name": "q"}, "Give either message_ids or pop, and not both."),
        (
            "message_delete_many",
            {"queue_name": "q", "message_ids": ["x"], "pop": 1},
            "Give either message_ids or pop, and not both.",
        ),
        (
            "queue_purge",
            {"queue_name": "q", "resource_types": ["messages", "claims"]},
            "resource_types are messages and subscriptions, not 'claims'.",
        ),
        (
            "subscription_update",
            {"queue_name": "q", "subscription_id": "s"},
            "Give at least one of subscriber, ttl and options.",
        ),
        (
            "pool_create",
            {"pool_name": "p", "uri": "u", "weight": 2**32},
            "weight must be from 0 to 4294967295, not 4294967296",
        ),
        ("pool_update", {"pool_name": "p", "weight": -1}, "weight must be from 0 to 4294967295, not -1"),
        ("pool_update", {"pool_name": "p"}, "Give at least one of uri, weight, flavor and options."),
        (
            "flavor_create",
            {"flavor_name": "f"},
            "Give pool_list, or pool_name for a flavor of one pool.",
        ),
        (
            "flavor_create",
            {"flavor_name": "f", "pool_list": [], "pool_name": "p"},
            "pool_list must have from 1 to 100 items, not 0",
        ),
        (
            "flavor_update",
            {"flavor_name": "f", "pool_list": ["p"] * 101},
            "pool_list must have from 1 to 100 items, not 101",
        ),
    ],
)
def test_what_may_not_be_asked(action: str, body: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check(request(action, body))
    assert caught.value.body() == {"exception": text, "error": None, "code": "bad_request"}


@pytest.mark.parametrize(
    ("action", "rest"),
    [
        ("queue_create", {}),
        ("queue_update", {"patch": []}),
        ("message_post", {"messages": [{"body": 1}]}),
        ("subscription_create", {}),
    ],
)
@pytest.mark.parametrize("name", ["", "a b", "q" * 65, "nl\n"])
def test_actions_that_create_queues_need_a_legal_name(action: str, rest: dict[str, Any], name: str) -> None:
    with pytest.raises(BadRequest, match="queue name"):
        check(request(action, {"queue_name": name, **rest}))


@pytest.mark.parametrize("name", ["", "a b", "p" * 65, "nl\n"])
def test_new_pools_and_flavors_need_a_legal_name(name: str) -> None:
    with pytest.raises(BadRequest, match="A pool name"):
        check(request("pool_create", {"pool_name": name, "uri": "u", "weight": 1}))
    with pytest.raises(BadRequest, match="A flavor name"):
        check(request("flavor_create", {"flavor_name": name, "pool_list": ["p"]}))


@pytest.mark.parametrize("project", ["", "p" * 257, "a\x07"])
def test_the_project_id_is_checked(project: str) -> None:
    with pytest.raises(BadRequest, match="project id"):
        check(request("queue_list", {}, project=project))


@pytest.mark.parametrize("text", [CLIENT, CLIENT.replace("-", ""), "{" + CLIENT + "}", f"urn:uuid:{CLIENT}"])
def test_client_ids_that_python_reads(text: str) -> None:
    incoming = request("message_list", {"queue_name": "q"}, client=text)
    check(incoming)
    assert client_id(incoming).hex() == CLIENT.replace("-", "")


@pytest.mark.parametrize("text", ["", "not-a-uuid", "x" * 32, CLIENT + "1"])
def test_client_ids_that_are_none(text: str) -> None:
    for action, rest in (("message_post", {"messages": [{"body": 1}]}), ("message_list", {})):
        with pytest.raises(BadRequest, match=r"^badly formed hexadecimal UUID string$"):
            check(request(action, {"queue_name": "q", **rest}, client=text))
    check(request("claim_create", {"queue_name": "q"}, client=text))
