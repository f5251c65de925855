"""Webhooks that are sent a token of who subscribed them: by a real gateway that asks a real Keystone."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.expect import done, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.keystone import PASSWORD, Keystone
from tests.support.reactor import wait_until
from tests.support.receiver import Receiver
from tests.support.rest import Rest
from tests.support.webhooks import AT_ONCE

pytestmark = pytest.mark.timeout(600)

_numbers = itertools.count()


class User:
    """Somebody with a token, and with what asks for them over REST."""

    def __init__(self, keystone: Keystone, gateway: Gateway, project: str) -> None:
        self.project = project
        self.id = keystone.create_user(uuid.uuid4().hex, {project: ["member"]})
        self.token = keystone.token(self.id, project)
        self.rest = Rest(gateway.http_url, project=project, token=self.token)
        self.rest.connection.timeout = 60


def options(keystone: Keystone, *further: str) -> list[str]:
    arguments = ["--auth", "keystone", "--keystone-auth-url", keystone.url, "--keystone-timeout", "30"]
    return [*arguments, "--webhook-allowed-networks", "127.0.0.0/8", *further]


ENVIRONMENT = {"ZAQAR_GATEWAY_KEYSTONE_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def trusting(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("trusting")
    with start_gateway(folder / "data", *options(keystone), environment=ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def users(keystone: Keystone, trusting: Gateway) -> Iterator[tuple[User, User]]:
    """Two in one project."""
    project = keystone.create_project(uuid.uuid4().hex)
    both = User(keystone, trusting, project), User(keystone, trusting, project)
    yield both
    for each in both:
        each.rest.connection.close()


@pytest.fixture
def ada(users: tuple[User, User]) -> User:
    return users[0]


@pytest.fixture
def bob(users: tuple[User, User]) -> User:
    return users[1]


@pytest.fixture
def queue() -> str:
    return f"/v2/queues/trusting-{next(_numbers)}"


def subscribe(user: User, queue: str, receiver: Receiver, **further: Any) -> str:
    """Its id."""
    asked = {"subscriber": f"trust+{receiver.url}", "options": {"_retry_policy": AT_ONCE}, **further}
    return str(user.rest.done("POST", f"{queue}/subscriptions", asked)["subscription_id"])


def shown(user: User, queue: str, name: str) -> Any:
    return user.rest.done("GET", f"{queue}/subscriptions/{name}")


def trust_of(user: User, queue: str, name: str) -> str:
    return str(shown(user, queue, name)["options"]["trust_id"])


def post(user: User, queue: str, *bodies: Any) -> None:
    user.rest.done("POST", f"{queue}/messages", {"messages": [{"body": body} for body in bodies]})


def gone(keystone: Keystone, trust: str) -> bool:
    return trust not in {each["id"] for each in keystone.trusts()}


def test_it_is_sent_a_token_of_who_subscribed_it(
    keystone: Keystone, ada: User, receiver: Receiver, queue: str
) -> None:
    name = subscribe(ada, queue, receiver, ttl=7200)
    trust = keystone.trust(trust_of(ada, queue, name))
    assert (trust["trustor_user_id"], trust["project_id"]) == (ada.id, ada.project)
    assert abs(datetime.fromisoformat(trust["expires_at"]).timestamp() - time() - 7200) < 120
    post(ada, queue, 1, 2)
    post(ada, queue, 3)
    received = receiver.wait_for(3)
    assert receiver.bodies() == [1, 2, 3]
    (token,) = {each.headers["x-auth-token"] for each in received}
    assert token != ada.token
    assert keystone.user_of(token) == ada.id


def test_over_the_websocket_too(
    keystone: Keystone, trusting: Gateway, ada: User, receiver: Receiver, queue: str
) -> None:
    name = queue.rpartition("/")[2]
    with Client(trusting.url, project=ada.project, headers={"X-Auth-Token": ada.token}) as client:
        asked = {"queue_name": name, "subscriber": f"Trust+{receiver.url}x"}
        done(client.request("subscription_create", asked), 201)
        done(client.request("message_post", {"queue_name": name, "messages": [{"body": 1}]}), 201)
    (received,) = receiver.wait_for(1)
    assert received.path == "/x"
    assert keystone.user_of(received.headers["x-auth-token"]) == ada.id


def test_what_the_subscriber_wants_as_a_header_is_no_token(ada: User, receiver: Receiver, queue: str) -> None:
    subscribe(ada, queue, receiver, options={"post_headers": {"x-auth-token": "forged", "X-More": "more"}})
    post(ada, queue, 1)
    headers = receiver.wait_for(1)[0].headers
    assert "forged" not in headers["x-auth-token"]
    assert headers["x-more"] == "more"


@pytest.mark.parametrize("scheme", ["http", "trust+http", "mailto"])
def test_a_trust_is_not_taken_from_clients(ada: User, receiver: Receiver, queue: str, scheme: str) -> None:
    given = {"trust_id": trust_of(ada, queue, subscribe(ada, queue, receiver))}
    subscriber = "mailto:ada@example.org" if scheme == "mailto" else f"{scheme}://127.0.0.1/elsewhere"
    asked = {"subscriber": subscriber, "options": given}
    assert ada.rest.refused(400, "POST", f"{queue}/subscriptions", asked) == "bad_request"
    other = ada.rest.done("POST", f"{queue}/subscriptions", {"subscriber": subscriber})["subscription_id"]
    path = f"{queue}/subscriptions/{other}"
    assert ada.rest.refused(400, "PATCH", path, {"options": given}) == "bad_request"


def test_without_keystone_nobody_has_a_token(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as gateway, Client(gateway.url) as client:
        asked = {"queue_name": "jobs", "subscriber": "trust+https://example.org/"}
        refused(client.request("subscription_create", asked), 400, "Keystone")
        created = done(
            client.request("subscription_create", {**asked, "subscriber": "https://example.org/"}), 201
        )
        asked["subscription_id"] = created["subscription_id"]
        refused(client.request("subscription_update", asked), 400, "Keystone")
        listed = done(client.request("subscription_list", {"queue_name": "jobs"}), 200)["subscriptions"]
        assert [each["subscriber"] for each in listed] == ["https://example.org/"]


def test_a_duplicate_leaves_no_trust(
    keystone: Keystone, trusting: Gateway, ada: User, receiver: Receiver, queue: str
) -> None:
    trust = trust_of(ada, queue, subscribe(ada, queue, receiver))
    others = {each["id"] for each in keystone.trusts()} - {trust}
    asked = {"queue_name": queue.rpartition("/")[2], "subscriber": f"trust+{receiver.url}"}
    with Client(trusting.url, project=ada.project, headers={"X-Auth-Token": ada.token}) as client:
        assert client.request("subscription_create", asked).status == 409
    wait_until(lambda: {each["id"] for each in keystone.trusts()} - others == {trust}, timeout=30)
    post(ada, queue, 1)
    receiver.wait_for(1)


def test_who_changes_it_is_spoken_for_from_then_on(
    keystone: Keystone, ada: User, bob: User, receiver: Receiver, queue: str
) -> None:
    name = subscribe(ada, queue, receiver, options={"post_headers": {"X-More": "more"}})
    first = trust_of(ada, queue, name)
    changes: tuple[dict[str, Any], ...] = (
        {"ttl": 86_400},
        {"subscriber": f"trust+{receiver.url}x"},
        {"options": {}},
    )
    for number, change in enumerate(changes):
        before = trust_of(bob, queue, name)
        bob.rest.done("PATCH", f"{queue}/subscriptions/{name}", change)
        assert trust_of(bob, queue, name) != before
        post(ada, queue, number)
        received = receiver.wait_for(number + 1)[-1]
        assert keystone.user_of(received.headers["x-auth-token"]) == bob.id
        assert received.headers.get("x-more") == (None if "options" in change else "more")
        expires = keystone.trust(trust_of(bob, queue, name))["expires_at"]
        assert abs(datetime.fromisoformat(expires).timestamp() - time() - 86_400) < 120
    wait_until(lambda: gone(keystone, first), timeout=60)


def test_without_trust_there_is_no_token(
    keystone: Keystone, ada: User, receiver: Receiver, queue: str
) -> None:
    name = subscribe(ada, queue, receiver, options={"post_headers": {"X-More": "more"}})
    trust = trust_of(ada, queue, name)
    ada.rest.done("PATCH", f"{queue}/subscriptions/{name}", {"subscriber": receiver.url})
    assert shown(ada, queue, name)["options"] == {"post_headers": {"X-More": "more"}}
    post(ada, queue, 1)
    assert "x-auth-token" not in receiver.wait_for(1)[0].headers
    wait_until(lambda: gone(keystone, trust), timeout=60)
    # And back.
    ada.rest.done("PATCH", f"{queue}/subscriptions/{name}", {"subscriber": f"trust+{receiver.url}"})
    post(ada, queue, 2)
    assert keystone.user_of(receiver.wait_for(2)[1].headers["x-auth-token"]) == ada.id


def test_a_change_that_is_refused_changes_no_trust(
    keystone: Keystone, ada: User, receiver: Receiver, queue: str
) -> None:
    name = subscribe(ada, queue, receiver)
    subscribe(ada, queue, receiver, subscriber=f"trust+{receiver.url}taken")
    before = {each["id"] for each in keystone.trusts()}
    change = {"subscriber": f"trust+{receiver.url}taken"}
    assert ada.rest.ask("PATCH", f"{queue}/subscriptions/{name}", change).status == 409
    # One that another test has ended may go meanwhile.
    wait_until(lambda: {each["id"] for each in keystone.trusts()} <= before)
    post(ada, queue, 1)
    receiver.wait_for(2)


def test_its_trust_ends_with_it(keystone: Keystone, ada: User, receiver: Receiver, queue: str) -> None:
    name = subscribe(ada, queue, receiver)
    trust = trust_of(ada, queue, name)
    ada.rest.done("DELETE", f"{queue}/subscriptions/{name}")
    wait_until(lambda: gone(keystone, trust), timeout=30)


def test_a_token_that_is_refused_is_got_anew_once(
    keystone: Keystone, ada: User, receiver: Receiver, queue: str
) -> None:
    subscribe(ada, queue, receiver)
    post(ada, queue, 1)
    (first,) = receiver.wait_for(1)
    keystone.revoke(first.headers["x-auth-token"])
    receiver.answer = lambda got: 401 if got.headers["x-auth-token"] == first.headers["x-auth-token"] else 204
    post(ada, queue, 2)
    _, refused_one, taken = receiver.wait_for(3)
    assert refused_one.data == taken.data
    assert keystone.user_of(taken.headers["x-auth-token"]) == ada.id


def test_who_takes_no_token_gets_nothing(ada: User, receiver: Receiver, queue: str) -> None:
    receiver.answer = lambda _: 401
    name = subscribe(ada, queue, receiver)
    post(ada, queue, 1)
    wait_until(lambda: shown(ada, queue, name)["delivery"]["failed"] == 1, timeout=30)
    assert shown(ada, queue, name)["delivery"]["last_error"] == "HTTP 401"
    assert receiver.bodies() == [1, 1]
    assert len({each.headers["x-auth-token"] for each in receiver.received}) == 2


def test_a_trust_that_was_taken_back(keystone: Keystone, ada: User, receiver: Receiver, queue: str) -> None:
    name = subscribe(ada, queue, receiver)
    keystone.delete_trust(trust_of(ada, queue, name))
    post(ada, queue, 1)
    wait_until(lambda: shown(ada, queue, name)["delivery"]["failed"] == 1, timeout=30)
    assert "trust has ended" in shown(ada, queue, name)["delivery"]["last_error"]
    assert receiver.received == []
    ada.rest.done("PATCH", f"{queue}/subscriptions/{name}", {"ttl": 3600})
    post(ada, queue, 2)
    receiver.wait_for(1)
    assert receiver.bodies() == [2]


def test_nothing_is_lost_while_keystone_is_away(
    keystone: Keystone, trusting: Gateway, ada: User, receiver: Receiver, queue: str
) -> None:
    name = subscribe(ada, queue, receiver)
    keystone.kill()
    try:
        post(ada, queue, *range(5))
        trusting.wait_event("trust_token_missing")
        error = shown(ada, queue, name)["delivery"]["last_error"]
        asked = {"subscriber": f"trust+{receiver.url}other"}
        code = ada.rest.refused(503, "POST", f"{queue}/subscriptions", asked)
    finally:
        keystone.start()
    assert error in ("", "Keystone could not be asked for a token.")
    assert code == "keystone_unavailable"
    receiver.wait_for(5, timeout=120)
    assert receiver.bodies() == [*range(5)]
    assert shown(ada, queue, name)["delivery"]["failed"] == 0


def test_who_has_to_confirm_is_asked_with_a_token(
    keystone: Keystone, tmp_path: Path, receiver: Receiver, queue: str
) -> None:
    (tmp_path / "keys").write_text("a key that only this test has")
    arguments = options(keystone, "--signing-key-file", str(tmp_path / "keys"), "--require-confirmation")
    arguments += ["--public-url", "http://gateway.example.org"]
    with start_gateway(tmp_path / "data", *arguments, environment=ENVIRONMENT) as gateway:
        user = User(keystone, gateway, keystone.create_project(uuid.uuid4().hex))
        name = subscribe(user, queue, receiver)
        (asked,) = receiver.wait_for(1)
        assert b"SubscriptionConfirmation" in asked.data
        assert keystone.user_of(asked.headers["x-auth-token"]) == user.id
        assert subscribe(user, queue, receiver) == name  # asked again
        receiver.wait_for(2)
        user.rest.done("PUT", f"{queue}/subscriptions/{name}/confirm", {"confirmed": True})
        post(user, queue, 1)
        assert receiver.wait_for(3)[2].body == 1
        user.rest.connection.close()
