"""Queues whose messages are encrypted, on running gateways: what is kept, and what each transport reads."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from protocol.extension import SUBPROTOCOL
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from tests.support.client import Client
from tests.support.expect import bodies, claim, done, post, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import reactor, run, wait_until
from tests.support.receiver import receiving
from tests.support.rest import Rest
from tests.support.servers import Server, start_valkey
from tests.support.webhooks import AT_ONCE, subscribe

SECRET = "hunter2-in-plain-text"
ENCRYPTED = {"_enable_encrypt_messages": True}


class Installation(NamedTuple):
    """A store with all that it can write to its disk, and gateways with keys on it."""

    folder: Path
    server: Server

    @contextmanager
    def serve(self, *keys: str, arguments: tuple[str, ...] = (), node: str = "node") -> Iterator[Gateway]:
        """A gateway with these lines as its file of keys; none: without one."""
        data = self.folder / node
        store = ["--redis-url", self.server.url, "--catalog-url", sqlite_url(self.folder / "catalog.sqlite")]
        if keys:
            store += ["--encryption-key-file", str(self._write(keys, node))]
        with start_gateway(data, *store, *arguments) as gateway:
            yield gateway

    def exchange(self, gateway: Gateway, *keys: str, node: str = "node") -> None:
        """Have a gateway go by other keys, while it serves."""
        self._write(keys, node)
        before = len([event for event in gateway.events if event["event"] == "file_reloaded"])
        gateway.send_signal(signal.SIGHUP)
        told = gateway.wait_event("file_reloaded", 30, count=before + 1)
        assert told["setting"] == "encryption_key_file"

    def _write(self, keys: Sequence[str], node: str) -> Path:
        path = self.folder / f"{node}-keys"
        path.write_text("\n".join(keys))
        return path


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    logging = {"slowlog_log_slower_than": "0", "slowlog_max_len": "100000"}
    catalog = SQLCatalog(reactor, sqlite_url(tmp_path / "catalog.sqlite"))
    run(catalog.start, upgrade=True)
    run(catalog.stop)
    with start_valkey(tmp_path / "store", tcp=False, appendonly="yes", **logging) as server:
        yield Installation(tmp_path, server)


def new_key(name: str) -> str:
    return f"{name} {secrets.token_hex(32)}"


def create(client: Client, queue: str, **metadata: Any) -> None:
    done(client.request("queue_create", {"queue_name": queue, "metadata": {**ENCRYPTED, **metadata}}), 201)


def test_nothing_that_is_kept_holds_the_plain_text(installation: Installation) -> None:
    with ExitStack() as closing:
        gateway = closing.enter_context(installation.serve(new_key("a"), arguments=("--enable-checksum",)))
        monitor = closing.enter_context(installation.server.client().monitor())
        client = closing.enter_context(Client(gateway.url, subprotocol=SUBPROTOCOL))
        binary = closing.enter_context(Client(gateway.url, form="msgpack", project=client.project))
        rest = closing.enter_context(Rest(gateway.http_url, project=client.project))
        create(client, "jobs", _max_claim_count=1, _dead_letter_queue="dead")
        done(client.request("subscription_create", {"queue_name": "jobs"}), 201)
        post(client, "jobs", SECRET)
        post(client, "jobs", {"a": [SECRET * 300]})  # more than is announced
        post(client, "jobs", SECRET, dedup_id="once")
        post(client, "jobs", SECRET, delay=900)
        post(binary, "jobs", SECRET.encode())
        rest.done("POST", "/v2/queues/jobs/messages", {"messages": [{"body": SECRET}]})
        for event in client.wait_notifications(5)[1:]:
            assert SECRET in str(event) or "JlbnQ" in str(event) or "$binary" in str(event)
        held = claim(client, "jobs", limit=1)
        assert held["messages"][0]["checksum"].startswith("MD5:")
        claim_id = held["claim_id"]
        done(client.request("claim_delete", {"queue_name": "jobs", "claim_id": claim_id}), 204)
        claim(
            client, "jobs", limit=1
        )  # the first is a dead letter now, in a queue that was not told to encrypt
        assert bodies(client, "dead") == [SECRET]
        store = installation.server.client()
        store.bgsave()
        deadline = time.monotonic() + 30
        while store.info("persistence")["rdb_bgsave_in_progress"] and time.monotonic() < deadline:
            pass
        kept = everything_in(store) + repr(store.slowlog_get(100000)).encode()
        commands = b""
        store.echo("the end of it")
        while b"the end of it" not in commands:
            commands += monitor.next_command()["command"].encode(errors="surrogateescape")
        log = "\n".join(gateway.log_lines).encode()
    files = {path: path.read_bytes() for path in installation.folder.rglob("*") if path.is_file()}
    assert {".rdb", ".aof"} <= {path.suffix for path in files}
    for what in (kept, commands, log, *files.values()):
        assert SECRET.encode() not in what
        assert held["messages"][0]["checksum"].encode() not in what
    assert b"messages" in kept
    assert b"jobs" in commands or b"EVALSHA" in commands


def everything_in(store: redis.Redis) -> bytes:
    """All keys with all that is in them."""
    return b"".join(key + b" " + (store.dump(key) or b"") for key in store.scan_iter())


def test_without_a_key_no_queue_may_ask_for_it(installation: Installation) -> None:
    with ExitStack() as closing:
        gateway = closing.enter_context(installation.serve())
        client = closing.enter_context(Client(gateway.url))
        rest = closing.enter_context(Rest(gateway.http_url, project=client.project))
        asking = {"queue_name": "jobs", "metadata": ENCRYPTED}
        reply = client.request("queue_create", asking)
        refused(reply, 400, "encryption_key_file")
        assert reply.body["code"] == "encryption_disabled"
        assert rest.refused(400, "PUT", "/v2/queues/jobs", ENCRYPTED) == "encryption_disabled"
        done(client.request("queue_create", {**asking, "metadata": {"_enable_encrypt_messages": False}}), 201)
        patch = [{"op": "add", "path": "/metadata/_enable_encrypt_messages", "value": True}]
        reply = client.request("queue_update", {"queue_name": "jobs", "patch": patch})
        refused(reply, 400, "encryption_key_file")


def test_keys_are_rotated_while_the_gateway_serves(installation: Installation) -> None:
    old, new = new_key("2025"), new_key("2026")
    posted: list[str] = []
    with installation.serve(old) as gateway, Client(gateway.url) as client:
        create(client, "jobs")
        for step, keys in enumerate([(old,), (old, new), (new, old)]):
            installation.exchange(gateway, *keys)
            posted.append(f"{SECRET} {step}")
            post(client, "jobs", posted[-1])
            assert bodies(client, "jobs") == posted
        # Too early: the first two are still there.
        installation.exchange(gateway, new)
        marker = "0"
        for _ in posted[:2]:
            reply = client.request("message_list", {"queue_name": "jobs", "echo": True, "marker": marker})
            refused(reply, 503, "encryption_key_file")
            assert reply.body["code"] == "encryption_key_missing"
            marker = reply.body["exception"].partition("Marker ")[2].partition(" ")[0]
        assert bodies(client, "jobs", marker=marker) == posted[2:]
        assert [message["body"] for message in claim(client, "jobs")["messages"]] == posted[2:]
        assert gateway.wait_event("message_unreadable")["key_id"] == "2025"
        installation.exchange(gateway, new, old)
        assert bodies(client, "jobs", include_claimed=True) == posted


def test_without_its_key_a_message_is_503_on_each_transport_and_stays(installation: Installation) -> None:
    key, queue = new_key("a"), {"queue_name": "jobs"}
    with ExitStack() as closing:
        gateway = closing.enter_context(installation.serve(key))
        client = closing.enter_context(Client(gateway.url))
        rest = closing.enter_context(Rest(gateway.http_url, project=client.project))
        create(client, "jobs", other=1)
        (message_id,) = post(client, "jobs", SECRET)
        installation.exchange(gateway, new_key("b"))
        requests: dict[str, dict[str, Any]] = {
            "message_get": {"message_id": message_id},
            "message_get_many": {"message_ids": [message_id]},
            "message_list": {"echo": True},
            "message_delete_many": {"pop": 1},
        }
        for action, body in requests.items():
            reply = client.request(action, {**queue, **body})
            assert (reply.status, reply.body["code"]) == (503, "encryption_key_missing"), reply.document
        path = "/v2/queues/jobs/messages"
        for request in ("?echo=true&include_claimed=true", f"/{message_id}", f"?ids={message_id}"):
            assert rest.refused(503, "GET", path + request) == "encryption_key_missing"
        stats = done(client.request("queue_get_stats", queue), 200)["messages"]
        assert (stats["claimed"], stats.get("oldest")) == (1, None)
        # What has nothing to do with it goes on.
        post(client, "jobs", "readable")
        held = claim(client, "jobs")
        assert [message["body"] for message in held["messages"]] == ["readable"]
        installation.exchange(gateway, key)
        reply = client.request("message_get", {**queue, "message_id": message_id})
        assert done(reply, 200)["messages"]["body"] == SECRET
        project = client.project
    with installation.serve() as gateway, Client(gateway.url, project=project) as client:
        reply = client.request("message_post", {**queue, "messages": [{"body": 1}]})
        assert (reply.status, reply.body["code"]) == (503, "encryption_key_missing")
        # The queue asks for encryption already, so it can still be changed.
        patch = [{"op": "replace", "path": "/metadata/other", "value": 2}]
        done(client.request("queue_update", {**queue, "patch": patch}), 200)


def test_subscribers_wait_for_what_cannot_be_read(installation: Installation) -> None:
    a, b, project = new_key("a"), new_key("b"), "pushed"
    with ExitStack() as closing:
        gateway = closing.enter_context(installation.serve(a))
        client = closing.enter_context(Client(gateway.url, project=project))
        create(client, "jobs")
        late = closing.enter_context(installation.serve(b, node="late"))
        listener = closing.enter_context(Client(late.url, project=project, subprotocol=SUBPROTOCOL))
        done(listener.request("subscription_create", {"queue_name": "jobs"}), 201)
        post(listener, "jobs", "first")
        post(client, "jobs", SECRET)
        post(listener, "jobs", "last")
        late.wait_event("message_unreadable")
        done(listener.request("describe"), 200)
        assert [event["body"] for event in listener.notifications] == ["first"]
        installation.exchange(late, b, a, node="late")
        told = [event["body"] for event in listener.wait_notifications(3)]
        assert told == ["first", SECRET, "last"]


def test_webhooks_get_the_plain_text_as_soon_as_it_can_be_read(installation: Installation) -> None:
    key = new_key("a")
    with ExitStack() as closing:
        receiver = closing.enter_context(receiving())
        allowed = ("--webhook-allowed-networks", "127.0.0.0/8")
        gateway = closing.enter_context(installation.serve(key, arguments=allowed))
        client = closing.enter_context(Client(gateway.url))
        create(client, "jobs")
        receiver.answer = lambda _: 503
        subscribe(client, "jobs", receiver.url, AT_ONCE)
        post(client, "jobs", SECRET)
        wait_until(lambda: receiver.received, 30)
        installation.exchange(gateway, new_key("b"))
        gateway.wait_event("delivery_waits_for_store", 60)
        receiver.answer = lambda _: 204
        tried = len(receiver.received)
        installation.exchange(gateway, key)
        wait_until(lambda: len(receiver.received) > tried, 60)
        assert {json.loads(received.data)["body"] for received in receiver.received} == {SECRET}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_node_with_a_store_of_its_own_has_a_key_of_its_own(tmp_path: Path, workers: str) -> None:
    for start in range(2):
        with start_gateway(tmp_path / "data", "--workers", workers) as gateway, ExitStack() as closing:
            clients = [closing.enter_context(Client(gateway.url, project="own")) for _ in range(6)]
            if not start:
                create(clients[0], "jobs")
                post(clients[0], "jobs", SECRET)
            for client in clients:
                assert bodies(client, "jobs") == [SECRET]
    valkey_files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert all(SECRET.encode() not in path.read_bytes() for path in valkey_files)
    key = (tmp_path / "data" / "encryption-keys").read_bytes().split()[1]
    assert [path.name for path in valkey_files if key in path.read_bytes()] == ["encryption-keys"]


def test_work_that_is_pushed_is_read(installation: Installation) -> None:
    with ExitStack() as closing:
        gateway = closing.enter_context(installation.serve(new_key("a")))
        client = closing.enter_context(Client(gateway.url))
        worker = closing.enter_context(
            Client(gateway.url, project=client.project, subprotocol=SUBPROTOCOL, form="msgpack")
        )
        create(client, "jobs")
        asked = {"queue_name": "jobs", "credit": 5, "ttl": 60, "grace": 60}
        done(worker.request("claim_subscribe", asked), 201)
        post(client, "jobs", {"work": SECRET})
        (event,) = worker.wait_notifications(1)
        assert event["messages"][0]["body"] == {"work": SECRET}
