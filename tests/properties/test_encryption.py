"""What an encrypted queue answers is what a queue without encryption answers, whatever is done with both.

Two nodes in the middle of a rotation (each encrypts by another key, both have both) are asked in both forms
and over REST. Encryption is switched on and off meanwhile. Its twin is never encrypted: the model.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.extension import SUBPROTOCOL
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from tests.support.client import Client, Form
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import reactor, run
from tests.support.rest import Rest
from tests.support.servers import Server

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SENDERS: list[tuple[int, Form | None]] = [
    (node, form) for node in (0, 1) for form in ("json", "msgpack", None)
]
"""Which node is asked, and in which form; None: over REST."""

STEPS = st.one_of(
    st.tuples(st.just("switch"), st.booleans()),
    st.tuples(st.just("post"), st.lists(VALUES | st.binary(max_size=300), min_size=1, max_size=4)),
    st.tuples(st.just("list"), st.integers(1, 20)),
    st.tuples(st.just("pop"), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.just("stats"), st.none()),
)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory, valkey: Server) -> Iterator[list[Gateway]]:
    """Two nodes of one installation."""
    folder = tmp_path_factory.mktemp("rotating")
    catalog_url = sqlite_url(folder / "catalog.sqlite")
    catalog = SQLCatalog(reactor, catalog_url)
    run(catalog.start, upgrade=True)
    run(catalog.stop)
    keys = [f"{name} {secrets.token_hex(32)}" for name in ("old", "new")]
    with ExitStack() as closing:
        yield [
            closing.enter_context(start_node(folder / str(number), lines, valkey.url, catalog_url))
            for number, lines in enumerate((keys, keys[::-1]))
        ]


def start_node(folder: Path, keys: list[str], store_url: str, catalog_url: str) -> Gateway:
    folder.mkdir()
    (folder / "keys").write_text("\n".join(keys))
    options = ["--redis-url", store_url, "--catalog-url", catalog_url, "--enable-checksum"]
    return start_gateway(folder / "data", *options, "--encryption-key-file", str(folder / "keys"))


class Asker:
    """Does the same with both queues, by whichever node and transport, and compares."""

    def __init__(self, gateways: list[Gateway], closing: ExitStack) -> None:
        self.project = f"project-{uuid.uuid4().hex}"
        self.sockets: dict[tuple[int, Form | None], Client | Rest] = {}
        for node, form in SENDERS:
            url = gateways[node]
            socket: Client | Rest
            if form is None:
                socket = closing.enter_context(Rest(url.http_url, project=self.project))
            else:
                socket = closing.enter_context(
                    Client(url.url, project=self.project, form=form, subprotocol=SUBPROTOCOL)
                )
            self.sockets[node, form] = socket
        self.posted = 0
        first = self.sockets[0, "json"]
        assert isinstance(first, Client)
        for queue, encrypted in (("plain", False), ("secret", True)):
            metadata = {"_enable_encrypt_messages": encrypted}
            done(first.request("queue_create", {"queue_name": queue, "metadata": metadata}), 201)
        for socket in self.sockets.values():
            if isinstance(socket, Client):
                for queue in ("plain", "secret"):
                    done(socket.request("subscription_create", {"queue_name": queue}), 201)

    def step(self, sender: tuple[int, Form | None], what: str, value: Any) -> None:
        socket = self.sockets[sender]
        if what == "switch":
            patch = [{"op": "replace", "path": "/metadata/_enable_encrypt_messages", "value": value}]
            first = self.sockets[0, "json"]
            assert isinstance(first, Client)
            done(first.request("queue_update", {"queue_name": "secret", "patch": patch}), 200)
            return
        if what == "post":
            if sender[1] != "msgpack":
                value = [item for item in value if not isinstance(item, bytes)] or [0]
            self.posted += len(value)
        told = [ask(socket, queue, what, value) for queue in ("plain", "secret")]
        assert told[0] == told[1]

    def compare_pushed(self) -> None:
        for socket in self.sockets.values():
            if isinstance(socket, Client):
                events = socket.wait_notifications(2 * self.posted, 30)
                pushed = [
                    [event["body"] for event in events if event["queue_name"] == queue]
                    for queue in ("plain", "secret")
                ]
                assert pushed[0] == pushed[1]
                assert len(pushed[0]) == self.posted


def ask(socket: Client | Rest, queue: str, what: str, value: Any) -> Any:
    """What a queue answers, without what differs between two queues."""
    if isinstance(socket, Rest):
        return shown(over_rest(socket, f"/v2/queues/{queue}", what, value))
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "post": ("message_post", {"messages": [{"body": item} for item in value] if what == "post" else []}),
        "list": ("message_list", {"echo": True, "include_claimed": True, "limit": value}),
        "pop": ("message_delete_many", {"pop": value}),
        "claim": ("claim_create", {"limit": value}),
        "stats": ("queue_get_stats", {}),
    }
    action, body = requests[what]
    reply = socket.request(action, {"queue_name": queue, **body})
    assert reply.status < 300, reply.document
    return reply.status, shown(reply.body)


def over_rest(rest: Rest, path: str, what: str, value: Any) -> Any:
    messages = f"{path}/messages"
    match what:
        case "post":
            return rest.ask("POST", messages, {"messages": [{"body": item} for item in value]})
        case "list":
            return rest.ask("GET", f"{messages}?echo=true&include_claimed=true&limit={value}")
        case "pop":
            return rest.ask("DELETE", f"{messages}?pop={value}")
        case "claim":
            return rest.ask("POST", f"{path}/claims?limit={value}", {})
    return rest.ask("GET", f"{path}/stats")


def shown(document: Any) -> Any:
    """Bodies, checksums, counts and states in an answer; ids, times and addresses are each queue's own."""
    if isinstance(document, tuple):  # of REST
        return document[0], shown(document[2])
    if isinstance(document, list):
        return [shown(item) for item in document]
    if isinstance(document, dict):
        known = ("messages", "oldest", "newest", "body", "checksum", "claim_count", "ttl")
        counts = ("free", "claimed", "total")
        found = {key: document[key] for key in (*known, *counts) if key in document}
        return {key: item if key == "body" else shown(item) for key, item in found.items()}
    return document


# One example after the other uses the same gateways, in a project of its own.
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.sampled_from(SENDERS), STEPS), min_size=4, max_size=20))
def test_an_encrypted_queue_answers_as_its_twin(gateways: list[Gateway], steps: list[Any]) -> None:
    with ExitStack() as closing:
        asker = Asker(gateways, closing)
        for sender, (what, value) in steps:
            asker.step(sender, what, value)
        asker.compare_pushed()
