"""Webhooks together with what else a queue, a gateway and its operator have."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import bodies, done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.receiver import Received, Receiver, silent
from tests.support.rest import Rest
from tests.support.tokens import Issuer
from tests.support.webhooks import AT_ONCE, NEVER, failing, subscribe
from zaqar_gateway_client import SignatureInvalid, verify_webhook

PAGE = Path(__file__).resolve().parents[3] / "docs" / "confirmation.md"
ALLOWED = ("--webhook-allowed-networks", "127.0.0.0/8")
MESSAGES, SUBSCRIPTIONS = "/v2/queues/jobs/messages", "/v2/queues/jobs/subscriptions"


def test_an_encrypted_queue_with_a_stream_a_webhook_and_dead_letters(
    client: Client, delivering: Gateway, receiver: Receiver
) -> None:
    metadata = {"_enable_encrypt_messages": True, "_dead_letter_queue": "secret-dead"}
    done(client.request("queue_create", {"queue_name": "secret", "metadata": metadata}), 201)
    receiver.answer = lambda received: 410 if received.body == "refused" else 204
    subscribe(client, "secret", receiver.url)
    stream = {"project": client.project, "from": "earliest"}
    done(client.request("queue_create", {"queue_name": "secret-dead"}), 201)
    with (
        EventSource(delivering.http_url, "/v2/queues/secret/events", stream) as events,
        EventSource(delivering.http_url, "/v2/queues/secret-dead/events", stream) as dead,
    ):
        post(client, "secret", "first", "refused", "last")
        assert [events.next().data["body"] for _ in range(3)] == ["first", "refused", "last"]
        assert dead.next().data["body"] == "refused"
    receiver.wait_for(3)
    assert receiver.bodies() == ["first", "refused", "last"]
    assert bodies(client, "secret-dead") == ["refused"]


@pytest.mark.parametrize("resource", ["messages", "subscriptions"])
def test_a_purge_while_tries_are_pending(client: Client, receiver: Receiver, resource: str) -> None:
    queue = f"purged-{resource}"
    receiver.answer = failing(2)
    identifier = subscribe(client, queue, receiver.url, NEVER)
    post(client, queue, "lost")
    receiver.wait_for(2)
    done(client.request("queue_purge", {"queue_name": queue, "resource_types": [resource]}), 204)
    if resource == "subscriptions":
        subscribe(client, queue, receiver.url)
    post(client, queue, "after")
    assert receiver.wait_for(3)[-1].body == "after"
    if resource == "messages":
        shown = done(
            client.request("subscription_get", {"queue_name": queue, "subscription_id": identifier}), 200
        )
        assert (shown["delivery"]["failed"], shown["delivery"]["missed"]) == (0, 1)


def test_delayed_messages_that_are_refused_and_claimed(client: Client, receiver: Receiver) -> None:
    metadata = {"_dead_letter_queue": "delayed-dead"}
    done(client.request("queue_create", {"queue_name": "delayed-dead"}), 201)
    done(client.request("queue_create", {"queue_name": "delayed", "metadata": metadata}), 201)
    receiver.answer = lambda received: 410 if received.body == "late" else 204
    subscribe(client, "delayed", receiver.url)
    messages = [{"body": "late", "delay": 1}, {"body": "now"}]
    done(client.request("message_post", {"queue_name": "delayed", "messages": messages}), 201)
    receiver.wait_for(2)
    assert receiver.bodies() == ["now", "late"]
    wait_until(lambda: bodies(client, "delayed-dead") == ["late"])
    claimed = done(client.request("claim_create", {"queue_name": "delayed"}), 201)
    assert [each["body"] for each in claimed["messages"]] == ["now", "late"]


def test_a_claimed_message_that_is_deleted_while_a_webhook_lags(client: Client, receiver: Receiver) -> None:
    receiver.answer = failing(1, silent)
    subscribe(client, "lagging", receiver.url, AT_ONCE)
    post(client, "lagging", 1, 2, 3)
    receiver.wait_for(1)
    claim = done(client.request("claim_create", {"queue_name": "lagging", "limit": 3}), 201)
    for message in claim["messages"]:
        asked = {"queue_name": "lagging", "message_id": message["id"], "claim_id": claim["claim_id"]}
        done(client.request("message_delete", asked), 204)
    post(client, "lagging", 4)
    wait_until(lambda: receiver.bodies()[-1] == 4)


def test_who_may_only_post_is_delivered(tmp_path: Path, receiver: Receiver) -> None:
    issuer = Issuer.new()
    poster = issuer.token(rights={"queues": {"jobs": ["message_post"]}})
    with (
        start_gateway(tmp_path / "data", *issuer.arguments(tmp_path), *ALLOWED) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token()) as owner,
        Rest(gateway.http_url, project="p", token=poster) as other,
    ):
        made = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})
        other.done("POST", MESSAGES, {"messages": [{"body": "posted"}]})
        receiver.wait_for(1)
        for path in (SUBSCRIPTIONS, f"{SUBSCRIPTIONS}/{made['subscription_id']}"):
            assert other.ask("GET", path).status == 403
        assert other.ask("POST", SUBSCRIPTIONS, {"subscriber": receiver.url + "b"}).status == 403
        assert other.ask("DELETE", f"{SUBSCRIPTIONS}/{made['subscription_id']}").status == 403


def is_signed(received: Received, secret: str) -> bool:
    try:
        verify_webhook(received.headers, received.data, secret)
    except SignatureInvalid:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_signatures_change_with_the_keys(tmp_path: Path, receiver: Receiver, workers: int) -> None:
    old, new, keys = "the-old-key-of-the-two", "the-new-key-of-the-two", tmp_path / "keys"
    keys.write_text(old)
    arguments = ["--signing-key-file", str(keys), "--workers", str(workers)]
    with (
        start_gateway(tmp_path / "data", *arguments, *ALLOWED) as gateway,
        Rest(gateway.http_url, project="p") as rest,
    ):
        made = rest.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})
        path, first = f"{SUBSCRIPTIONS}/{made['subscription_id']}", made["signature_secret"]

        def deliver() -> Received:
            count = len(receiver.received)
            rest.done("POST", MESSAGES, {"messages": [{"body": count}]})
            return receiver.wait_for(count + 1)[count]

        def reload(text: str, times: int) -> None:
            keys.write_text(text)
            gateway.send_signal(signal.SIGHUP)
            gateway.wait_event("file_reloaded", count=times * workers)

        assert is_signed(deliver(), first)
        reload(f"{new}\n{old}", 1)
        second = rest.done("GET", path)["signature_secret"]
        assert second != first
        both = deliver()
        assert is_signed(both, first)
        assert is_signed(both, second)
        reload(new, 2)
        last = deliver()
        assert not is_signed(last, first)
        assert is_signed(last, second)


def confirm(gateway: Gateway, told: dict[str, Any]) -> None:
    """Confirm by what docs/confirmation.md shows."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    written: dict[str, Any] = {}
    exec(source, written)  # noqa: S102  # the project's own page
    written["confirm"](told | {"WSGISubscribeURL": gateway.http_url + told["URL-Paths"]})


def test_who_was_asked_before_a_restart_confirms_behind_it(tmp_path: Path, receiver: Receiver) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-key-that-is-long-enough")
    arguments = ["--signing-key-file", str(keys), "--require-confirmation", "--workers", "2", *ALLOWED]
    arguments += ["--public-url", "http://messaging.example.org"]
    with start_gateway(tmp_path / "data", *arguments) as gateway, Rest(gateway.http_url, project="p") as rest:
        for path in ("a", "b"):
            rest.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url + path})
        asked = {each.path: json.loads(each.data) for each in receiver.wait_for(2)}
        confirm(gateway, asked["/a"])
        rest.done("POST", MESSAGES, {"messages": [{"body": "first"}]})
        assert receiver.wait_for(3)[2].path == "/a"
    with start_gateway(tmp_path / "data", *arguments) as gateway, Rest(gateway.http_url, project="p") as rest:
        rest.done("POST", MESSAGES, {"messages": [{"body": "second"}]})
        assert receiver.wait_for(4)[3].path == "/a"
        confirm(gateway, asked["/b"])
        rest.done("POST", MESSAGES, {"messages": [{"body": "third"}]})
        receiver.wait_for(6)
        assert [each.body for each in receiver.received[2:] if each.path == "/b"] == ["third"]
