"""Ids of another project: whoever tries them learns and changes nothing (docs/compatibility.md, 1)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from protocol.identifiers import format_id, parse_id
from protocol.registry import ACTIONS
from tests.support.client import Client, Reply
from tests.support.expect import claim, done, post
from tests.support.gateway import Gateway

NOWHERE = 1 << 40
"""The incarnation of no queue, and the sequence of nothing in one."""

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9]{16}")
"""What is another one in each reply: an id, a signature, or a marker, which is made of the time."""

MESSAGE, CLAIM, SUBSCRIPTION = "message", "claim", "subscription"

TRIES: list[tuple[str, dict[str, Any]]] = [
    ("message_get", {"message_id": MESSAGE}),
    ("message_get_many", {"message_ids": [MESSAGE]}),
    ("message_delete", {"message_id": MESSAGE}),
    ("message_delete", {"message_id": MESSAGE, "claim_id": CLAIM}),
    ("message_delete_many", {"message_ids": [MESSAGE]}),
    ("message_delete_many", {"pop": 5}),
    ("message_list", {"marker": MESSAGE, "echo": True, "include_claimed": True}),
    ("message_list", {"echo": True}),
    ("message_release", {"message_ids": [MESSAGE], "claim_id": CLAIM}),
    ("claim_create", {}),
    ("claim_get", {"claim_id": CLAIM}),
    ("claim_update", {"claim_id": CLAIM, "ttl": 100}),
    ("claim_delete", {"claim_id": CLAIM}),
    ("claim_subscribe", {"claim_id": CLAIM, "credit": 5}),
    ("claim_unsubscribe", {"claim_id": CLAIM}),
    ("subscription_create", {"from": MESSAGE}),
    ("subscription_create", {"from": "earliest"}),
    ("subscription_get", {"subscription_id": SUBSCRIPTION}),
    ("subscription_list", {"marker": SUBSCRIPTION}),
    ("subscription_update", {"subscription_id": SUBSCRIPTION, "ttl": 100}),
    ("subscription_confirm", {"subscription_id": SUBSCRIPTION, "confirmed": True}),
    ("subscription_delete", {"subscription_id": SUBSCRIPTION}),
    ("queue_get", {}),
    ("queue_get_stats", {}),
    ("queue_update", {"patch": [{"op": "add", "path": "/metadata/_dead_letter_queue", "value": "dead"}]}),
    ("queue_purge", {}),
    ("queue_delete", {}),
    ("queue_share", {}),
    ("queue_create", {"metadata": {"mine": True}}),
    ("message_post", {"messages": [{"body": "mine"}]}),
]
"""Actions on the queue `q`, with ids that are the other project's or nobody's."""


class Victim:
    """A project with a queue, and all the ids that it ever got."""

    def __init__(self, gateway: Gateway) -> None:
        self.client = Client(gateway.url, project=f"victim-{uuid.uuid4()}", subprotocol=SUBPROTOCOL)
        done(self.client.request("queue_create", {"queue_name": "q", "metadata": {"n": 1}}), 201)
        self.message, *_ = post(self.client, "q", "one", "two", "three")
        self.claim = claim(self.client, "q", limit=1)["claim_id"]
        body = {"queue_name": "q", "subscriber": "http://203.0.113.9/hook"}
        self.subscription = done(self.client.request("subscription_create", body), 201)["subscription_id"]
        self.before = self.seen()

    def seen(self) -> list[Any]:
        """What it sees of its project, but for what only grows older."""
        asked: list[tuple[str, dict[str, Any]]] = [
            ("queue_list", {"detailed": True}),
            ("message_list", {"queue_name": "q", "echo": True, "include_claimed": True}),
            ("claim_get", {"queue_name": "q", "claim_id": self.claim}),
            ("subscription_list", {"queue_name": "q"}),
            ("queue_get_stats", {"queue_name": "q"}),
        ]
        return [without_age(self.client.request(action, body).body) for action, body in asked]


TIMES = ("age", "created", "expires")
"""What tells the time in a reply."""


def without_age(value: Any) -> Any:
    """A reply's body without what tells the time in it."""
    if isinstance(value, dict):
        return {key: without_age(each) for key, each in value.items() if key not in TIMES}
    return [without_age(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def victim(gateway: Gateway) -> Iterator[Victim]:
    made = Victim(gateway)
    with made.client:
        yield made


def attempt(gateway: Gateway, action: str, body: Any, ids: dict[str, str], *, exists: bool) -> Any:
    """What a project that has only just come is answered; ids stand for what they are."""
    told = json.dumps({"queue_name": "q", **body})
    for name, value in ids.items():
        told = told.replace(f'"{name}"', json.dumps(value))
    with Client(gateway.url, project=f"attacker-{uuid.uuid4()}", subprotocol=SUBPROTOCOL) as client:
        if exists:
            post(client, "q", "mine", "mine", "mine")
        reply: Reply = client.request(action, json.loads(told))
        answer = json.dumps([reply.status, without_age(reply.body)])
        assert all(word not in answer for word in ('"one"', '"two"', '"three"'))
        return ID.sub("id", answer.replace(client.project, "project"))


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("action", "body"), TRIES)
def test_ids_of_another_project_are_nobodys(
    gateway: Gateway, victim: Victim, action: str, body: dict[str, Any], exists: bool
) -> None:
    theirs = {MESSAGE: victim.message, CLAIM: victim.claim, SUBSCRIPTION: victim.subscription}
    unknown = format_id(NOWHERE, NOWHERE)
    nobodys = {MESSAGE: unknown, CLAIM: str(uuid.uuid4()), SUBSCRIPTION: unknown}
    told = attempt(gateway, action, body, theirs, exists=exists)
    assert told == attempt(gateway, action, body, nobodys, exists=exists)
    assert victim.seen() == victim.before


def test_ids_that_are_made_of_two(gateway: Gateway, victim: Victim) -> None:
    with Client(gateway.url, project=f"attacker-{uuid.uuid4()}") as client:
        (mine,) = post(client, "q", "mine")
        (sequence, incarnation), (their_sequence, their_incarnation) = map(read_id, (mine, victim.message))
        for made in (format_id(sequence, their_incarnation), format_id(their_sequence, incarnation)):
            assert client.request("message_get", {"queue_name": "q", "message_id": made}).status == 404
            done(client.request("message_delete", {"queue_name": "q", "message_id": made}), 204)
        done(client.request("message_get", {"queue_name": "q", "message_id": mine}), 200)
    assert victim.seen() == victim.before


def read_id(text: str) -> tuple[int, int]:
    """Sequence and incarnation in an id."""
    found = parse_id(text)
    assert found
    return found


def test_every_action_on_a_queue_is_tried() -> None:
    on_queues = {name for name, action in ACTIONS.items() if "queue_name" in action.request.__struct_fields__}
    assert {action for action, _ in TRIES} == on_queues


CRAFTED = [
    "{} ",
    " {}",
    "{}.q",
    "{}/q",
    "{}:q",
    "{}{{q}}",
    "{{{}}}",
    "{}*",
    "{}%",
    "{}_",
    "{}\\n",
    "É{}",
    "{}é",
]


@pytest.mark.parametrize("form", [*CRAFTED, "upper", "longest"])
def test_projects_with_crafted_names_are_others(gateway: Gateway, victim: Victim, form: str) -> None:
    name = victim.client.project
    crafted = {"upper": name.upper(), "longest": name.ljust(256, "x")}.get(form) or form.format(name)
    with Client(gateway.url, project=crafted) as client:
        assert done(client.request("queue_list", {}), 200)["queues"] == []
        for queue_name in ("q", ".q", "-q", "q."):
            assert client.request("message_list", {"queue_name": queue_name}).status == 404
            done(client.request("queue_delete", {"queue_name": queue_name}), 204)
        post(client, "q", "mine")
        done(client.request("queue_purge", {"queue_name": "q"}), 204)
    assert victim.seen() == victim.before


@pytest.mark.parametrize("name", ["a\0b", "a\x1fb", "a\x7fb", "\ud800", "a" * 257])
def test_names_that_no_project_can_have(gateway: Gateway, name: str) -> None:
    with Client(gateway.url, project=name) as client:
        assert client.request("queue_list", {}).status == 400
