"""Queues as event streams: on the wire, from where they begin to how they end, beside sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.http.rest.streams import EVENTS, MESSAGES, listen, post, subscriptions
from tests.support.client import Client
from tests.support.event_source import EventSource
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.raw import RawSocket, split_response
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.servers import start_valkey


@pytest.fixture
def queue(rest: Rest) -> Rest:
    """A client whose project has a queue."""
    rest.done("PUT", "/v2/queues/q")
    return rest


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
