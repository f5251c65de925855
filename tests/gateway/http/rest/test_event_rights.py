"""Who may have an event stream: with a token, with a signed URL, from another site, and how many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.http.rest.streams import EVENTS, MESSAGES, listen, post, subscriptions
from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.tokens import Issuer


@pytest.fixture
def issuer() -> Issuer:
    return Issuer.new()


@pytest.fixture
def guarded(tmp_path: Path, issuer: Issuer) -> Iterator[Gateway]:
    """A gateway where clients have to authenticate, and which signs."""
    (tmp_path / "keys").write_text("a key that only this test has")
    arguments = [*issuer.arguments(tmp_path), "--signing-key-file", str(tmp_path / "keys")]
    arguments += ["--max-sockets-per-project", "2", "--allowed-origins", "https://app.example"]
    with start_gateway(tmp_path / "data", *arguments) as gateway:
        yield gateway


def with_token(gateway: Gateway, token: str, **parameters: str) -> EventSource:
    return EventSource(gateway.http_url, EVENTS, parameters, headers={"Authorization": f"Bearer {token}"})


def share(owner: Rest, **asked: Any) -> dict[str, str]:
    """The parameters of a URL that the owner of a queue has signed."""
    url = owner.done("POST", "/v2/queues/q/share", asked)
    return {
        "project": url["project"],
        "signature": url["signature"],
        "expires": url["expires"],
        "methods": ",".join(url["methods"]),
        "paths": ",".join(url["paths"]),
    }


def test_a_token_opens_its_own_projects_queue(guarded: Gateway, issuer: Issuer) -> None:
    token = issuer.token(project="p")
    with Rest(guarded.http_url, project="p", token=token) as rest:
        rest.done("PUT", "/v2/queues/q")
        with with_token(guarded, token) as events:
            post(rest, 1)
            assert events.bodies(1) == [1]
        assert EventSource(guarded.http_url, EVENTS, {"project": "p"}).status == 401
        assert with_token(guarded, token, project="o").status == 403
        assert with_token(guarded, issuer.token(project="o")).status == 404
        restricted = issuer.token(project="p", rights={"queues": {"q": ["message_post", "message_list"]}})
        assert with_token(guarded, restricted).status == 403
        listening = issuer.token(project="p", rights={"queues": {"q": ["subscription_create"]}})
        with with_token(guarded, listening) as events:
            post(rest, 2)
            assert events.bodies(1) == [2]


def test_a_stream_ends_with_its_token(guarded: Gateway, issuer: Issuer) -> None:
    with Rest(guarded.http_url, project="p", token=issuer.token(project="p")) as rest:
        rest.done("PUT", "/v2/queues/q")
        with with_token(guarded, issuer.token(project="p", seconds=6)) as events:
            names = [events.next().name for _ in range(2)]
            assert names == ["token_expiring", "token_expired"]
            with pytest.raises(EOFError):
                events.next()
            events.open()
            assert events.status == 401
        wait_until(lambda: not subscriptions(rest))


def test_a_signed_url_opens_what_a_list_shows(guarded: Gateway, issuer: Issuer) -> None:
    with Rest(guarded.http_url, project="p", token=issuer.token(project="p")) as owner:
        owner.done("PUT", "/v2/queues/q")
        signed = share(owner)
        with EventSource(guarded.http_url, EVENTS, signed) as events:
            post(owner, 1)
            assert events.bodies(1) == [1]
            events.reopen()
            post(owner, 2)
            assert events.bodies(1) == [2]
        for wrong in (
            {"signature": "0" * 64},
            {"project": "o"},
            {"paths": "/v2/queues/other/messages"},
            {"methods": "GET,POST"},
            {"expires": "2099-01-01T00:00:00"},
        ):
            assert EventSource(guarded.http_url, EVENTS, {**signed, **wrong}).status == 404
        posting = share(owner, methods=["POST"])
        assert EventSource(guarded.http_url, EVENTS, posting).status == 404
        claims = share(owner, paths=["claims"])
        assert EventSource(guarded.http_url, EVENTS, claims).status == 404
        other = EventSource(guarded.http_url, "/v2/queues/other/events", signed)
        assert other.status == 404
        # In a URL it opens nothing but this.
        assert (
            owner.ask("GET", f"{MESSAGES}?signature={signed['signature']}", X_Auth_Token="no").status == 401
        )
    assert signed["signature"] not in "\n".join(guarded.log_lines)


def test_a_signed_url_makes_no_queue(guarded: Gateway, issuer: Issuer) -> None:
    with Rest(guarded.http_url, project="p", token=issuer.token(project="p")) as owner:
        signed = share(owner)  # a queue need not exist to be shared
        assert EventSource(guarded.http_url, EVENTS, signed).status == 404
        assert owner.done("GET", "/v2/queues")["queues"] == []


def test_a_stream_ends_with_its_signature(guarded: Gateway, issuer: Issuer) -> None:
    with Rest(guarded.http_url, project="p", token=issuer.token(project="p")) as owner:
        owner.done("PUT", "/v2/queues/q")
        soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 7))
        with EventSource(guarded.http_url, EVENTS, share(owner, expires=soon)) as events:
            assert events.next().name == "token_expired"
            with pytest.raises(EOFError):
                events.next()
            events.open()
            assert events.status == 404


def test_a_stream_is_one_of_the_projects_sockets(guarded: Gateway, issuer: Issuer) -> None:
    token = issuer.token(project="p")
    with Rest(guarded.http_url, project="p", token=token) as rest, ExitStack() as stack:
        rest.done("PUT", "/v2/queues/q")
        for _ in range(2):
            stack.enter_context(with_token(guarded, token))
        assert rest.refused(429, "GET", EVENTS, Accept="*/*") == "too_many_sockets"
        with with_token(guarded, token) as events:  # an EventSource would not come back for a 429
            event = events.next()
            assert (event.name, event.data["code"]) == ("unavailable", "too_many_sockets")
            assert events.parser.retry
        assert value(guarded, "refused_total", limit="max_sockets_per_project") == 2
        assert value(guarded, "event_streams") == 2
    wait_until(lambda: value(guarded, "event_streams") == 0)


@pytest.mark.parametrize("limit", ["max_sockets", "max_sockets_per_address"])
def test_streams_and_sockets_share_what_room_there_is(tmp_path: Path, limit: str) -> None:
    option = "--" + limit.replace("_", "-")
    with start_gateway(tmp_path / "data", option, "2") as gateway, Rest(gateway.http_url) as rest:
        rest.done("PUT", "/v2/queues/q")
        with listen(gateway, rest) as events:
            with Client(gateway.url) as socket:
                done(socket.request("ping_node"), 204)
                assert rest.refused(429, "GET", EVENTS, Accept="*/*") == "too_many_sockets"
                assert value(gateway, "refused_total", limit=limit) == 1
            wait_until(lambda: value(gateway, "connections") == 0)
            with listen(gateway, rest) as other:
                post(rest, 1)
                assert events.bodies(1) == other.bodies(1) == [1]


def test_pages_of_other_sites(guarded: Gateway, issuer: Issuer) -> None:
    token = issuer.token(project="p")
    with Rest(guarded.http_url, project="p", token=token) as rest:
        rest.done("PUT", "/v2/queues/q")
        signed = share(rest)
        ours = {"Origin": "https://app.example"}
        with EventSource(guarded.http_url, EVENTS, signed, headers=ours) as events:
            assert events.answer.getheader("Access-Control-Allow-Origin") == ours["Origin"]
            post(rest, 1)
            assert events.bodies(1) == [1]
        theirs = {"Origin": "https://evil.example"}
        with EventSource(guarded.http_url, EVENTS, signed, headers=theirs) as events:
            assert events.status == 403
            assert events.answer.getheader("Access-Control-Allow-Origin") is None
        asks = {"Access_Control_Request_Method": "GET", **ours}
        told = rest.ask("OPTIONS", EVENTS, **asks)
        assert "Last-Event-ID" in told.headers["access-control-allow-headers"]
        assert told.headers["allow"] == "GET, HEAD"
