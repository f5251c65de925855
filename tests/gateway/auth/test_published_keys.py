"""Keys that an issuer publishes: fetched, kept, changed, and away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.auth.published_keys import FRESH, PAUSE, PublishedKeys
from gateway.http.client import HttpAnswer, HttpError
from protocol.errors import Unavailable
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import start_gateway
from tests.support.tokens import Issuer, key_set

OLD, NEW = Issuer.new("HS256", "old"), Issuer.new("HS256", "new")
MAX_AGE = 3600.0


class FakeClient:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.requests: list[Deferred[HttpAnswer]] = []
        self.stopped = False

    async def request(self, method: str, url: str, *, timeout: float, max_bytes: int) -> HttpAnswer:
        assert (method, url) == ("GET", "https://issuer.example/keys")
        answer: Deferred[HttpAnswer] = Deferred()
        self.requests.append(answer)
        return await answer

    async def stop(self) -> None:
        self.stopped = True


class World:
    """Published keys, who publishes them, and a clock."""

    def __init__(self) -> None:
        self.client, self.clock = FakeClient(), Clock()
        url = "https://issuer.example/keys"
        self.keys = PublishedKeys(self.client, url, self.clock.seconds, "HS256", MAX_AGE)

    def ask(self, kid: str) -> list[Any]:
        """Ask for a key; what comes of it is in the list, once it has come."""
        outcome: list[Any] = []
        asked = Deferred.fromCoroutine(self.keys.find(kid))
        asked.addCallbacks(outcome.append, lambda failure: outcome.append(failure.type))
        return outcome

    def answer(self, *issuers: Issuer, status: int = 200, body: bytes | None = None) -> None:
        """Answer the one request that is under way."""
        (request,) = self.client.requests
        self.client.requests.clear()
        request.callback(HttpAnswer(status, {}, key_set(*issuers) if body is None else body))

    def fail(self) -> None:
        (request,) = self.client.requests
        self.client.requests.clear()
        request.errback(HttpError("Nobody there."))


@pytest.fixture
def world() -> World:
    """Keys that were fetched just now: OLD's."""
    made = World()
    made.keys.start()
    made.answer(OLD)
    return made


def secret(issuer: Issuer) -> list[bytes]:
    return [issuer.key.encode()]


def test_they_are_fetched_once_for_all_who_wait() -> None:
    world = World()
    world.keys.start()
    asked = [world.ask("old") for _ in range(3)]
    assert asked == [[], [], []]
    world.answer(OLD)
    assert asked == [secret(OLD)] * 3
    assert world.ask("old") == secret(OLD)
    assert not world.client.requests


def test_an_issuer_changes_its_key(world: World) -> None:
    world.clock.advance(PAUSE)
    asked = [world.ask("new"), world.ask("new")]
    assert world.ask("old") == secret(OLD)  # does not wait
    world.answer(OLD, NEW)
    assert asked == [secret(NEW)] * 2


def test_keys_that_are_not_there_are_not_asked_for_all_the_time(world: World) -> None:
    assert [world.ask(f"k{i}") for i in range(5)] == [[None]] * 5
    world.clock.advance(PAUSE)
    asked = [world.ask(f"k{i}") for i in range(5)]
    world.answer(OLD)
    assert asked == [[None]] * 5
    world.clock.advance(PAUSE - 1)
    assert world.ask("k") == [None]
    assert not world.client.requests


def test_a_key_that_is_published_no_more_is_used_no_more(world: World) -> None:
    world.clock.advance(FRESH - 1)
    assert world.ask("old") == secret(OLD)
    world.clock.advance(1)
    asked = world.ask("old")
    world.answer(NEW)
    assert asked == [None]


def test_known_keys_go_on_while_none_can_be_fetched_for_a_time(world: World) -> None:
    world.clock.advance(FRESH)
    asked = world.ask("old")
    world.fail()
    assert asked == secret(OLD)
    assert world.ask("old") == secret(OLD)  # and does not try at once again
    assert not world.client.requests
    world.clock.advance(PAUSE)
    asked = world.ask("old")
    world.answer(OLD, status=500)
    assert asked == secret(OLD)
    world.clock.advance(MAX_AGE)
    asked = world.ask("old")
    world.fail()
    assert asked == [Unavailable]
    world.clock.advance(PAUSE)
    asked = world.ask("old")
    world.answer(OLD)
    assert asked == secret(OLD)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"keys": []}', key_set(Issuer("HS256", "short", "old"))])
def test_what_is_no_key_set_changes_nothing(world: World, body: bytes) -> None:
    world.clock.advance(FRESH)
    asked = world.ask("old")
    world.answer(body=body)
    assert asked == secret(OLD)


def test_none_could_be_fetched_yet() -> None:
    world = World()
    world.keys.start()
    asked = world.ask("old")
    world.fail()
    assert asked == [Unavailable]
    assert world.ask("old") == [Unavailable]


def test_stop_gives_up_what_is_under_way() -> None:
    world = World()
    world.keys.start()
    stopped = Deferred.fromCoroutine(world.keys.stop())
    assert stopped.called
    assert world.client.stopped
    assert world.client.requests[0].called


# With a gateway


class Issuing:
    """A web server that publishes keys."""

    def __init__(self) -> None:
        self.body = b""
        issuing = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if issuing.body else 503)
                self.end_headers()
                self.wfile.write(issuing.body)

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def issuing() -> Iterator[Issuing]:
    """It publishes nothing yet."""
    made = Issuing()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_gateway_takes_the_tokens_of_a_published_key(issuing: Issuing, tmp_path: Path) -> None:
    issuer = Issuer.new("RS256", "k1")
    issuing.body = key_set(issuer)
    arguments = ("--auth", "jwt", "--jwt-algorithm", "RS256", "--jwt-keys-url", issuing.url)
    with start_gateway(tmp_path / "data", *arguments) as gateway, Client(gateway.url, project="p") as client:
        gateway.wait_event("keys_fetched")
        done(client.request("authenticate", headers={"X-Auth-Token": issuer.token()}), 200)
        stranger = Issuer.new("RS256", "k2").token()
        assert client.request("authenticate", headers={"X-Auth-Token": stranger}).status == 401


def test_a_gateway_without_keys_says_503_and_goes_on(issuing: Issuing, tmp_path: Path) -> None:
    arguments = ("--auth", "jwt", "--jwt-keys-url", issuing.url)
    with start_gateway(tmp_path / "data", *arguments) as gateway, Client(gateway.url, project="p") as client:
        gateway.wait_event("keys_not_fetched")
        reply = client.request("authenticate", headers={"X-Auth-Token": OLD.token()})
        assert (reply.status, reply.body["code"]) == (503, "unavailable")
        assert client.request("queue_list", {}).status == 403
