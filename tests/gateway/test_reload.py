"""SIGHUP: keys and the policy are those in the files now, for open sockets too (gateway.operator_file)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from protocol.signed_urls import SignedUrl, sign
from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")
OLD, NEW = "the first key that signs URLs", "the next key that signs URLs"
SOCKETS = 12
"""As many as reach both of two workers, but once in two thousand times."""

Start = Callable[..., Gateway]


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def start(workers: int, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway that takes ISSUER's tokens."""
    with ExitStack() as running:

        def started(*arguments: str) -> Gateway:
            given = [*ISSUER.arguments(tmp_path), "--workers", str(workers), *arguments]
            return running.enter_context(start_gateway(tmp_path / "data", *given))

        yield started


def replace(path: Path, content: str | bytes) -> None:
    """As operators should: nobody sees half a file."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    fresh.rename(path)


def reload(gateway: Gateway, workers: int, setting: str, event: str = "file_reloaded") -> dict[str, Any]:
    """Send SIGHUP, and wait until each process has told the event of this setting's file."""

    def told() -> list[dict[str, Any]]:
        return [each for each in gateway.events if each["event"] == event and each["setting"] == setting]

    before = len(told())
    gateway.send_signal(signal.SIGHUP)
    wait_until(lambda: len(told()) == before + workers)
    return told()[-1]


def statuses(gateway: Gateway, issuer: Issuer) -> set[int]:
    """What sockets of all processes are answered that authenticate with an issuer's token."""
    found = set()
    for _ in range(SOCKETS):
        with Client(gateway.url, project="p") as client:
            found.add(client.request("authenticate", {}, {"X-Auth-Token": issuer.token()}).status)
    return found


def enter(client: Client) -> None:
    done(client.request("authenticate", {}, {"X-Auth-Token": ISSUER.token(project="p")}), 200)


def test_new_keys_of_tokens(start: Start, workers: int, tmp_path: Path) -> None:
    gateway, successor = start(), Issuer.new("HS256")
    with Client(gateway.url, project="p") as client:
        enter(client)
        assert statuses(gateway, successor) == {401}
        replace(tmp_path / "key", successor.public)
        told = reload(gateway, workers, "jwt_key_file")
        assert (told["level"], told["path"]) == ("info", str(tmp_path / "key"))
        assert statuses(gateway, successor) == {200}
        assert statuses(gateway, ISSUER) == {401}
        done(client.request("ping_node"), 204)  # who has authenticated stays


def test_keys_of_tokens_that_cannot_be_used_change_nothing(
    start: Start, workers: int, tmp_path: Path
) -> None:
    gateway = start()
    replace(tmp_path / "key", "short")
    told = reload(gateway, workers, "jwt_key_file", "file_not_reloaded")
    assert told["level"] == "error"
    assert told["reason"].startswith(f"jwt_key_file: {tmp_path / 'key'} cannot be used ")
    assert statuses(gateway, ISSUER) == {200}


def test_new_keys_that_sign(start: Start, workers: int, tmp_path: Path) -> None:
    (tmp_path / "signing").write_text(OLD)
    gateway = start("--signing-key-file", str(tmp_path / "signing"))

    def signs(key: str) -> bool:
        """Whether this key signs on every socket, and is the one that is taken."""
        found = set()
        for _ in range(SOCKETS):
            with Client(gateway.url, project="p") as owner, Client(gateway.url, project="p") as guest:
                enter(owner)
                post(owner, "q", 1)
                shared = done(owner.request("queue_share", {"queue_name": "q"}), 200)
                url = SignedUrl(tuple(shared["paths"]), tuple(shared["methods"]), "p", shared["expires"])
                found.add(shared["signature"] == sign(key.encode(), url))
                headers = {
                    "URL-Signature": sign(key.encode(), url),
                    "URL-Expires": url.expires,
                    "URL-Methods": [*url.methods],
                    "URL-Paths": [*url.paths],
                }
                found.add(guest.request("message_list", {"queue_name": "q"}, headers).status == 200)
        assert len(found) == 1, "some of it goes by the one key, some by the other"
        return found == {True}

    assert signs(OLD)
    replace(tmp_path / "signing", NEW)
    reload(gateway, workers, "signing_key_file")
    assert signs(NEW)
    assert not signs(OLD)
    replace(tmp_path / "signing", "too short")
    told = reload(gateway, workers, "signing_key_file", "file_not_reloaded")
    assert told["reason"].startswith("signing_key_file: ")
    assert signs(NEW)


def test_a_key_that_is_taken_away_ends_what_it_has_opened(start: Start, workers: int, tmp_path: Path) -> None:
    (tmp_path / "signing").write_text(f"{NEW}\n{OLD}")
    gateway = start("--signing-key-file", str(tmp_path / "signing"))
    with Client(gateway.url, project="p") as owner, ExitStack() as closing:
        enter(owner)
        post(owner, "q", "made")

        def stream(key: str) -> EventSource:
            """The queue's events, opened by a signature of this key."""
            url = SignedUrl(("/v2/queues/q/messages",), ("GET",), "p", "2099-01-01T00:00:00")
            parts = {"project": "p", "paths": url.paths[0], "methods": "GET", "expires": url.expires}
            signed = {**parts, "signature": sign(key.encode(), url)}
            return closing.enter_context(EventSource(gateway.http_url, "/v2/queues/q/events", signed))

        streams = [stream(OLD) for _ in range(SOCKETS)]
        stays = stream(NEW)
        replace(tmp_path / "signing", NEW)
        reload(gateway, workers, "signing_key_file")
        for each in streams:
            ended = each.next()
            assert (ended.name, ended.data["reason"]) == ("subscription_ended", "not_permitted")
        post(owner, "q", "heard")
        assert stays.bodies(1) == ["heard"]
        assert stream(OLD).status == 404


def test_a_new_policy(start: Start, workers: int, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("{}")
    gateway = start("--policy-file", str(path))
    with ExitStack() as closing:
        clients = [
            closing.enter_context(Client(gateway.url, project="p", subprotocol=SUBPROTOCOL))
            for _ in range(SOCKETS)
        ]
        for client in clients:
            enter(client)
            done(client.request("subscription_create", {"queue_name": "news"}), 201)
            done(client.request("claim_subscribe", {"queue_name": "jobs", "credit": 1}), 201)
        replace(path, '"subscription:create": "!"\n"claims:create": "!"\n"messages:get_all": "!"\n')
        reload(gateway, workers, "policy_file")
        for client in clients:
            reply = client.request("message_list", {"queue_name": "news"})
            assert (reply.status, reply.body["code"]) == (403, "not_permitted")
            # What the policy no longer lets them have has ended, and the socket has not.
            ended = client.wait_notifications(2)
            assert sorted((each["event"], each["reason"]) for each in ended) == [
                ("claim_ended", "not_permitted"),
                ("subscription_ended", "not_permitted"),
            ]
            post(client, "news", "nobody hears this")

        replace(path, '"messages:get_al": "!"')
        told = reload(gateway, workers, "policy_file", "file_not_reloaded")
        assert "there is no rule 'messages:get_al'" in told["reason"]
        for client in clients:
            assert client.request("message_list", {"queue_name": "news"}).status == 403
