"""Subscribers that have to confirm: what they are sent, and what they can do with it. On a real gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, done
from tests.support.gateway import Gateway, launch_gateway, start_gateway
from tests.support.metrics import value
from tests.support.receiver import Receiver
from tests.support.rest import Rest
from tests.support.smtp import SmtpServer, start_smtp
from tests.support.tokens import Issuer

KEY = "a key that only these tests have"
PAGE = "https://confirm.example.org/page"
SUBSCRIPTIONS = "/v2/queues/jobs/subscriptions"
MESSAGES = "/v2/queues/jobs/messages"

ISSUER = Issuer.new()


@pytest.fixture(scope="module")
def smtp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with start_smtp(tmp_path_factory.mktemp("mail") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer) -> Iterator[Gateway]:
    """A gateway that demands confirmations, and whose clients authenticate."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "keys").write_text(KEY)
    arguments = [*ISSUER.arguments(folder), "--signing-key-file", str(folder / "keys")]
    arguments += ["--require-confirmation", "--external-confirmation-url", PAGE, *smtp.options()]
    arguments += [
        "--public-url",
        "https://messaging.example.org/",
        "--webhook-allowed-networks",
        "127.0.0.0/8",
    ]
    with start_gateway(folder / "data", *arguments) as gateway:
        yield gateway


@pytest.fixture
def owner(asking: Gateway, request: pytest.FixtureRequest) -> Iterator[Rest]:
    """Somebody with a token, in a project of their own."""
    project = request.node.name[:200]
    with Rest(asking.http_url, project=project, token=ISSUER.token(project=project)) as client:
        yield client


@pytest.fixture
def guest(asking: Gateway, owner: Rest) -> Iterator[Rest]:
    """Somebody without one."""
    with Rest(asking.http_url, project=owner.project) as client:
        yield client


def told(receiver: Receiver, count: int = 1) -> dict[str, Any]:
    """What the receiver was sent last, after so many."""
    document: dict[str, Any] = json.loads(receiver.wait_for(count)[count - 1].data)
    return document


def signed(document: dict[str, Any]) -> dict[str, str]:
    """The headers that a subscriber answers with."""
    names = ("URL-Signature", "URL-Expires", "URL-Methods", "URL-Paths", "X-Project-ID")
    return {name.replace("-", "_"): document[name] for name in names}


def is_confirmed(owner: Rest, name: str) -> bool:
    return bool(owner.done("GET", f"{SUBSCRIPTIONS}/{name}")["confirmed"])


def test_a_webhook_is_asked_and_confirms(owner: Rest, guest: Rest, receiver: Receiver) -> None:
    asked = {"subscriber": receiver.url + "hook", "ttl": 700, "options": {"post_headers": {"X-Key": "mine"}}}
    name = owner.done("POST", SUBSCRIPTIONS, asked)["subscription_id"]
    document = told(receiver)
    path = f"{SUBSCRIPTIONS}/{name}/confirm"
    expires = datetime.fromisoformat(document["URL-Expires"]).replace(tzinfo=UTC).timestamp()
    assert 600 < expires - time() <= 700
    assert document == {
        "Message_Type": "SubscriptionConfirmation",
        "Message": "You have chosen to subscribe to the queue: jobs",
        "URL-Signature": document["URL-Signature"],
        "URL-Methods": "PUT",
        "URL-Paths": path,
        "X-Project-ID": owner.project,
        "URL-Expires": document["URL-Expires"],
        "SubscribeBody": {"confirmed": True},
        "UnsubscribeBody": {"confirmed": False},
        "WSGISubscribeURL": f"https://messaging.example.org{path}",
        "WebSocketSubscribeURL": f"wss://messaging.example.org{path}",
        "queue_name": "jobs",
    }
    received = receiver.received[0]
    assert (received.path, received.headers["x-key"]) == ("/hook", "mine")
    assert received.headers["content-type"] == "application/json"
    assert not is_confirmed(owner, name)
    owner.done("POST", MESSAGES, {"messages": [{"body": "before"}]})
    answer = guest.ask("PUT", path, document["SubscribeBody"], **signed(document))
    assert (answer.status, answer.headers["location"]) == (204, path)
    assert is_confirmed(owner, name)
    owner.done("POST", MESSAGES, {"messages": [{"body": "after"}]})
    assert receiver.wait_for(2)[1].body == "after"
    assert owner.refused(409, "POST", SUBSCRIPTIONS, asked) == "conflict"


def test_the_signature_opens_nothing_else(owner: Rest, guest: Rest, receiver: Receiver) -> None:
    name = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})["subscription_id"]
    other = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url + "b"})["subscription_id"]
    document = next(
        found
        for found in (json.loads(each.data) for each in receiver.wait_for(2))
        if name in found["URL-Paths"]
    )
    good, path = signed(document), document["URL-Paths"]
    confirmed = {"confirmed": True}
    for method, where, body in [
        ("PUT", path.replace(name, other), confirmed),
        ("PUT", path.replace(name, UNKNOWN_ID), confirmed),
        ("PUT", path.replace("jobs", "other"), confirmed),
        ("GET", f"{SUBSCRIPTIONS}/{name}", None),
        ("DELETE", f"{SUBSCRIPTIONS}/{name}", None),
        ("PATCH", f"{SUBSCRIPTIONS}/{name}", {"ttl": 100}),
        ("GET", SUBSCRIPTIONS, None),
        ("POST", SUBSCRIPTIONS, {"subscriber": "http://example.org/"}),
        ("GET", "/v2/queues/jobs/messages", None),
    ]:
        guest.refused(404, method, where, body, **good)
    for changed in [
        {"URL_Signature": "0" * 64},
        {"URL_Expires": "2999-01-01T00:00:00"},
        {"URL_Methods": "PUT,DELETE"},
        {"URL_Paths": path.replace(name, other)},
        {"URL_Paths": SUBSCRIPTIONS},
        {"X_Project_ID": "another"},
    ]:
        guest.refused(404, "PUT", path, confirmed, **{**good, **changed})
    guest.refused(401, "PUT", path, confirmed)
    assert not is_confirmed(owner, name)
    assert not is_confirmed(owner, other)
    guest.refused(400, "PUT", path, {"confirmed": "yes"}, **good)
    guest.done("PUT", path, confirmed, **good)
    assert is_confirmed(owner, name)


def test_who_has_not_confirmed_is_asked_again(owner: Rest, receiver: Receiver) -> None:
    first = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})
    before = told(receiver)
    again = owner.ask("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})
    assert (again.status, again.body) == (201, first)
    assert told(receiver, 2)["URL-Paths"] == before["URL-Paths"]


def test_who_unsubscribes_is_told_and_may_come_back(owner: Rest, guest: Rest, receiver: Receiver) -> None:
    name = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url, "ttl": 100_000})["subscription_id"]
    asked = told(receiver)
    guest.done("PUT", asked["URL-Paths"], asked["SubscribeBody"], **signed(asked))
    guest.done("PUT", asked["URL-Paths"], asked["UnsubscribeBody"], **signed(asked))
    assert not is_confirmed(owner, name)
    document = told(receiver, 2)
    owner.done("POST", MESSAGES, {"messages": [{"body": "meanwhile"}]})
    assert document["Message_Type"] == "UnsubscribeConfirmation"
    assert document["Message"].startswith("You have unsubscribed successfully to the queue: jobs, you can ")
    expires = datetime.fromisoformat(document["URL-Expires"]).replace(tzinfo=UTC).timestamp()
    assert 3500 < expires - time() <= 3600
    guest.done("PUT", document["URL-Paths"], document["SubscribeBody"], **signed(document))
    assert is_confirmed(owner, name)
    owner.done("POST", MESSAGES, {"messages": [{"body": "again"}]})
    assert receiver.wait_for(3)[2].body == "again"


def test_another_subscriber_has_confirmed_nothing(owner: Rest, guest: Rest, receiver: Receiver) -> None:
    name = owner.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})["subscription_id"]
    asked = told(receiver)
    guest.done("PUT", asked["URL-Paths"], asked["SubscribeBody"], **signed(asked))
    path = f"{SUBSCRIPTIONS}/{name}"
    owner.done("PATCH", path, {"subscriber": receiver.url, "ttl": 500})
    assert is_confirmed(owner, name)
    owner.done("PATCH", path, {"subscriber": receiver.url + "elsewhere", "ttl": 500})
    assert not is_confirmed(owner, name)
    told(receiver, 2)
    assert [each.path for each in receiver.received] == ["/", "/elsewhere"]


def test_over_the_websocket_webhooks_are_asked_and_sockets_are_not(
    asking: Gateway, receiver: Receiver
) -> None:
    with Client(asking.url, project="sockets") as client:
        client.request("authenticate", headers={"X-Auth-Token": ISSUER.token(project="sockets")})
        done(client.request("subscription_create", {"queue_name": "jobs"}), 201)
        body = {"queue_name": "jobs", "subscriber": receiver.url}
        first = done(client.request("subscription_create", body), 201)
        asked = told(receiver)
        assert asked["URL-Paths"].endswith(f"/{first['subscription_id']}/confirm")
        assert done(client.request("subscription_create", body), 201) == first
        told(receiver, 2)
        named = {"queue_name": "jobs", "subscription_id": first["subscription_id"]}
        done(client.request("subscription_confirm", {**named, "confirmed": True}), 204)
        refused_again = client.request("subscription_create", body)
        assert (refused_again.status, refused_again.body) == (409, "Subscription jobs not created.")
        # The socket gets its messages, and was told nothing.
        done(client.request("message_post", {"queue_name": "jobs", "messages": [{"body": 1}]}), 201)
        assert client.wait_notifications(1)[0]["body"] == 1
        own = done(client.request("subscription_list", {"queue_name": "jobs"}), 200)["subscriptions"][0]
        mine = {"queue_name": "jobs", "subscription_id": own["id"], "confirmed": False}
        done(client.request("subscription_confirm", mine), 204)
        kinds = [json.loads(each.data)["Message_Type"] for each in receiver.wait_for(3)]
        assert kinds == ["SubscriptionConfirmation"] * 2 + ["Notification"]


def test_mail_links_to_the_page_that_confirms(owner: Rest, guest: Rest, smtp: SmtpServer) -> None:
    before = len(smtp.mails())
    options = {"from": "spoof@example.org", "subject": "Free money"}
    asked = {"subscriber": "mailto:ada@example.org", "options": options}
    name = owner.done("POST", SUBSCRIPTIONS, asked)["subscription_id"]
    mail = smtp.wait_mails(before + 1)[before]
    assert mail.recipients == ["ada@example.org"]
    # What a client says does not get into mail that nobody has agreed to.
    assert mail.message["From"] == "Gateway <gateway@zaqar.test>"
    assert mail.message["Subject"] == "Please confirm: messages of the queue jobs"
    assert f"the queue jobs of the project {owner.project}" in mail.text
    link = next(line for line in mail.text.splitlines() if line.startswith(PAGE))
    parts = {key: value for key, (value,) in parse_qs(urlsplit(link).query).items()}
    assert parts.keys() == {"Signature", "Methods", "Paths", "Project", "Expires", "Url", "Queue"}
    assert parts["Queue"] == "jobs"
    assert parts["Url"] == f"https://messaging.example.org{SUBSCRIPTIONS}/{name}/confirm"
    headers = {
        "URL_Signature": parts["Signature"],
        "URL_Methods": parts["Methods"],
        "URL_Paths": parts["Paths"],
        "URL_Expires": parts["Expires"],
        "X_Project_ID": parts["Project"],
    }
    guest.done("PUT", parts["Paths"], {"confirmed": True}, **headers)
    assert is_confirmed(owner, name)
    guest.done("PUT", parts["Paths"], {"confirmed": False}, **headers)
    mail = smtp.wait_mails(before + 2)[before + 1]
    assert mail.message["Subject"] == "Unsubscribed: messages of the queue jobs"


def test_the_operators_own_words(tmp_path: Path, smtp: SmtpServer) -> None:
    before = len(smtp.mails())
    (tmp_path / "keys").write_text(KEY)
    (tmp_path / "mail").write_text("Bestätigen: {0}\n\n{0} {1} {3} {}\n{2}\n")
    arguments = ["--signing-key-file", str(tmp_path / "keys"), "--require-confirmation", *smtp.options()]
    arguments += ["--external-confirmation-url", PAGE, "--confirmation-mail-file", str(tmp_path / "mail")]
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url, project="p {2}") as rest,
    ):
        rest.done("POST", SUBSCRIPTIONS, {"subscriber": "mailto:ada@example.org"})
        mail = smtp.wait_mails(before + 1)[before]
        assert mail.message["Subject"] == "Bestätigen: jobs"
        first, link = mail.text.splitlines()
        assert first == "jobs p {2} {3} {}"
        assert link.startswith(f"{PAGE}?Signature=")
        assert "Project=p+%7B2%7D&" in link


def test_addresses_of_the_inside_are_not_asked(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "keys").write_text(KEY)
    arguments = ["--signing-key-file", str(tmp_path / "keys"), "--require-confirmation"]
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url) as rest,
    ):
        name = rest.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})["subscription_id"]
        event = gateway.wait_event("confirmation_failed")
        assert (event["queue"], event["subscription"]) == ("jobs", name)
        assert value(gateway, "confirmations_total", result="refused") == 1
        # Mail is not switched on here.
        rest.done("POST", SUBSCRIPTIONS, {"subscriber": "mailto:ada@example.org"})
        assert "smtp_host" in gateway.wait_event("confirmation_failed", count=2)["reason"]
    assert receiver.received == []


def test_nothing_is_asked_unless_the_operator_demands_it(gateway: Gateway, receiver: Receiver) -> None:
    with Rest(gateway.http_url) as rest:
        name = rest.done("POST", SUBSCRIPTIONS, {"subscriber": receiver.url})["subscription_id"]
        rest.done("PUT", f"{SUBSCRIPTIONS}/{name}/confirm", {"confirmed": False})
    assert value(gateway, "confirmations_total", result="refused") == 0
    assert not any(event["event"] == "confirmation_failed" for event in gateway.events)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--require-confirmation"], "require_confirmation: true is not allowed"),
        (["--smtp-host", "localhost"], "mail_from: is not set"),
        (
            ["--require-confirmation", "--signing-key-file=keys", "--smtp-host=a", "--mail-from=a@b"],
            "external_confirmation_url: is not set",
        ),
    ],
    ids=["no key", "no sender", "no page"],
)
def test_what_cannot_work_does_not_start(tmp_path: Path, arguments: list[str], told: str) -> None:
    gateway = launch_gateway(tmp_path / "data", *arguments)
    try:
        assert gateway.wait() == 2
        assert any(told in line for line in gateway.log_lines), gateway.log_lines
    finally:
        gateway.close()
