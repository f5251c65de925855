"""Server-sent events of a queue, on a running gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.raw import RawSocket, split_response
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.servers import start_valkey
from tests.support.tokens import Issuer

EVENTS, MESSAGES = "/v2/queues/q/events", "/v2/queues/q/messages"


@pytest.fixture
def queue(rest: Rest) -> Rest:
    """A client whose project has a queue."""
    rest.done("PUT", "/v2/queues/q")
    return rest


def post(rest: Rest, *bodies: Any, **fields: Any) -> None:
    rest.done("POST", MESSAGES, {"messages": [{"body": body, **fields} for body in bodies]})


def listen(gateway: Gateway, rest: Rest, **parameters: str) -> EventSource:
    return EventSource(gateway.http_url, EVENTS, {"project": str(rest.project), **parameters})


def subscriptions(rest: Rest) -> list[Any]:
    found: list[Any] = rest.done("GET", "/v2/queues/q/subscriptions")["subscriptions"]
    return found


# What it tells


def test_what_is_posted_comes_as_on_an_extended_socket(gateway: Gateway, queue: Rest) -> None:
    with (
        listen(gateway, queue) as events,
        Client(gateway.url, project=queue.project, subprotocol="zaqar-gateway.v1") as socket,
    ):
        done(socket.request("subscription_create", {"queue_name": "q"}), 201)
        post(queue, {"a": 1})
        event = events.next()
        assert event.data == socket.receive()
        assert event.id == event.data["marker"]


def test_the_answer_is_for_nobody_to_keep(gateway: Gateway, queue: Rest) -> None:
    with listen(gateway, queue) as events:
        headers = {name.lower(): text for name, text in events.answer.getheaders()}
        assert events.status == 200
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-content-type-options"] == "nosniff"


def test_who_comes_back_misses_nothing(gateway: Gateway, queue: Rest) -> None:
    with listen(gateway, queue) as events:
        events.close()  # nothing has come yet, and still it is known where it stood
        post(queue, 1, 2)
        events.open()
        assert events.bodies(1) == [1]
        events.close()
        post(queue, 3)
        events.open()
        assert events.bodies(2) == [2, 3]


def test_one_position_is_for_streams_sockets_and_lists(gateway: Gateway, queue: Rest) -> None:
    post(queue, 1, 2, 3)
    page = queue.done("GET", f"{MESSAGES}?echo=true&limit=1")
    with listen(gateway, queue, **{"from": page["messages"][0]["id"]}) as events:
        assert events.next().data["body"] == 2
        marker = events.parser.last_id
    assert [
        message["body"] for message in queue.done("GET", f"{MESSAGES}?echo=true&marker={marker}")["messages"]
    ] == [3]
    with Client(gateway.url, project=queue.project, subprotocol="zaqar-gateway.v1") as socket:
        reply = done(socket.request("subscription_create", {"queue_name": "q", "from": marker}), 201)
        assert (reply["marker"], socket.receive()["body"]) == (marker, 3)


def test_from_the_beginning(gateway: Gateway, queue: Rest) -> None:
    post(queue, 1, 2)
    with listen(gateway, queue, **{"from": "earliest"}) as events:
        assert events.bodies(2) == [1, 2]
        events.reopen()  # the URL still says earliest, the last id goes before it
        post(queue, 3)
        assert events.bodies(1) == [3]
    with listen(gateway, queue, **{"from": "now"}) as events:
        post(queue, 4)
        assert events.bodies(1) == [4]


def test_what_is_missed_is_told(gateway: Gateway, queue: Rest) -> None:
    post(queue, 1)
    with listen(gateway, queue, **{"from": "earliest"}) as events:
        assert events.bodies(1) == [1]
        stood = events.parser.last_id
        events.close()
        post(queue, 2, 3)
        queue.done("DELETE", f"{MESSAGES}?pop=2")
        post(queue, 4)
        events.open()
        gap = events.next()
        assert (gap.name, gap.id) == ("gap", stood)
        assert gap.data["reason"] == "deleted"
        assert (gap.data["queue_name"], gap.data["from"]) == ("q", stood)
        assert int(gap.data["to"]) > int(stood)
        assert events.bodies(2) == [3, 4]


@pytest.mark.parametrize("marker", ["1-2", "x", "9" * 30])
def test_what_is_no_position(gateway: Gateway, queue: Rest, marker: str) -> None:
    assert queue.refused(400, "GET", EVENTS, Last_Event_ID=marker) == "bad_request"
    assert queue.refused(400, "GET", f"{EVENTS}?from={marker}") == "bad_request"


def test_a_delayed_message_comes_when_its_delay_is_over(gateway: Gateway, queue: Rest) -> None:
    with listen(gateway, queue) as events:
        queue.done("POST", MESSAGES, {"messages": [{"body": "late", "delay": 1}, {"body": "early"}]})
        assert events.bodies(2) == ["early", "late"]


def test_pretty_bodies_stay_on_their_line(gateway: Gateway, queue: Rest) -> None:
    with listen(gateway, queue) as events:
        queue.done("POST", MESSAGES, b'{"messages": [{"body": {\r\n"a":\n[1,\r2], "b": "\\n"}}]}')
        assert events.bodies(1) == [{"a": [1, 2], "b": "\n"}]


def test_a_topic_has_events_too(gateway: Gateway, rest: Rest) -> None:
    rest.done("PUT", "/v2/topics/t")
    with EventSource(gateway.http_url, "/v2/topics/t/events", {"project": str(rest.project)}) as events:
        rest.done("POST", "/v2/topics/t/messages", {"messages": [{"body": 1}]})
        assert events.bodies(1) == [1]


# Its life


def test_a_queue_that_is_missing_is_not_made(gateway: Gateway, rest: Rest) -> None:
    assert rest.refused(404, "GET", EVENTS) == "not_found"
    assert rest.ask("HEAD", EVENTS).status == 404
    assert rest.done("GET", "/v2/queues")["queues"] == []


def test_a_subscription_that_ends_with_its_stream(gateway: Gateway, queue: Rest) -> None:
    wait_until(lambda: value(gateway, "event_streams") == 0)  # those of other tests have ended
    with listen(gateway, queue):
        (subscription,) = subscriptions(queue)
        assert subscription["subscriber"].startswith("http://")
        assert value(gateway, "event_streams") == 1
    wait_until(lambda: not subscriptions(queue))
    wait_until(lambda: value(gateway, "event_streams") == 0)


def test_a_stream_that_ends_with_its_subscription(gateway: Gateway, queue: Rest) -> None:
    with listen(gateway, queue) as events:
        (subscription,) = subscriptions(queue)
        queue.done("DELETE", f"/v2/queues/q/subscriptions/{subscription['id']}")
        event = events.next()
        assert (event.name, event.data["reason"]) == ("subscription_ended", "deleted")
        with pytest.raises(EOFError):
            events.next()
        post(queue, 1)
        events.open()
        assert events.bodies(1) == [1]
        queue.done("DELETE", "/v2/queues/q")
        assert events.next().data["reason"] == "queue_deleted"
        with pytest.raises(EOFError):
            events.next()


def test_a_connection_serves_what_comes_after_a_stream(gateway: Gateway, queue: Rest) -> None:
    assert queue.ask("HEAD", EVENTS).headers["content-type"] == "text/event-stream"
    assert not subscriptions(queue)
    with RawSocket(gateway.http_url, handshake=False) as raw:
        head = f"Host: {raw.host}\r\nX-Project-ID: {queue.project}\r\n\r\n"
        raw.send(f"GET {EVENTS} HTTP/1.1\r\n{head}".encode())
        assert b"text/event-stream" in raw.receive_head()
        wait_until(lambda: len(subscriptions(queue)) == 1)
        queue.done("POST", "/v2/queues/q/purge", {"resource_types": ["subscriptions"]})
        raw.send(f"HEAD {EVENTS} HTTP/1.1\r\nConnection: close\r\n{head}".encode())
        rest = raw.receive_rest()
        assert b"event: subscription_ended\n" in rest
        assert b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in rest


@pytest.mark.parametrize(
    ("version", "connection", "chunked"),
    [("1.0", "keep-alive", False), ("1.0", "close", False), ("1.1", "close", True)],
)
def test_old_and_short_connections(
    gateway: Gateway, queue: Rest, version: str, connection: str, chunked: bool
) -> None:
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(
            f"GET {EVENTS}?project={queue.project} HTTP/{version}\r\nHost: {raw.host}\r\n"
            f"Connection: {connection}\r\n\r\n".encode()
        )
        status, headers, _ = split_response(raw.receive_head() + b"\r\n\r\n")
        assert status == 200
        assert ("transfer-encoding" in headers) is chunked
        wait_until(lambda: len(subscriptions(queue)) == 1)
        post(queue, "here")
        queue.done("POST", "/v2/queues/q/purge", {"resource_types": ["subscriptions"]})
        # The connection ends with the answer.
        assert b'"body":"here"' in raw.receive_rest()


def test_a_quiet_stream_is_kept_alive_by_comments(tmp_path: Path) -> None:
    with (
        start_gateway(tmp_path / "data", "--ping-interval", "1") as gateway,
        Rest(gateway.http_url) as rest,
    ):
        rest.done("PUT", "/v2/queues/q")
        with listen(gateway, rest) as events:
            events.wait_comments(3)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_node_that_stops_says_when_to_come_back(tmp_path: Path, workers: str) -> None:
    with start_gateway(tmp_path / "data", "--workers", workers) as gateway, Rest(gateway.http_url) as rest:
        rest.done("PUT", "/v2/queues/q")
        with listen(gateway, rest) as events:
            post(rest, 1)
            assert events.bodies(1) == [1]
            gateway.terminate()
            event = events.next()
            assert event.name == "draining"
            assert event.data["reconnect_after_ms"] == events.parser.retry
            assert events.parser.last_id
            with pytest.raises(EOFError):
                events.next()
        assert gateway.wait() == 0
        assert not [line for line in gateway.events if line["level"] in ("error", "warning")][1:]


# Who may


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


def test_what_a_client_accepts(queue: Rest) -> None:
    assert queue.refused(406, "GET", EVENTS, Accept="application/json") == "not_acceptable"
    assert queue.ask("HEAD", EVENTS, Accept="text/*").status == 200


def test_a_store_that_is_away_does_not_end_an_event_source(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as store:
        arguments = ("--redis-url", store.url, "--request-timeout", "3")
        with start_gateway(tmp_path / "data", *arguments) as gateway, Rest(gateway.http_url) as rest:
            rest.done("PUT", "/v2/queues/q")
            store.kill()
            with listen(gateway, rest) as events:
                event = events.next()
                assert event.name == "unavailable"
                assert event.data["code"] in ("store_unavailable", "outcome_unknown")
                assert events.parser.retry
                with pytest.raises(EOFError):
                    events.next()
            assert rest.ask("GET", EVENTS, Accept="*/*").status == 503
