"""Long polling on a running gateway: requests that wait for messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.raw import RawSocket
from tests.support.reactor import wait_until
from tests.support.rest import Answer, Rest
from tests.support.tokens import Issuer

QUEUE = "/v2/queues/q"
MESSAGES, CLAIMS = f"{QUEUE}/messages", f"{QUEUE}/claims"
LONG = 20
"""Seconds: as long as a request may wait, and longer than anything here should."""

Ask = Callable[..., "Future[Answer]"]


@pytest.fixture
def ask(gateway: Gateway, rest: Rest) -> Iterator[Ask]:
    """Sends a request that waits, beside the test; returns when the gateway has it waiting."""
    with ThreadPoolExecutor(20) as threads:
        yield lambda method, path, **headers: waiting(threads, gateway, rest, method, path, **headers)


def waiting(
    threads: ThreadPoolExecutor, gateway: Gateway, rest: Rest, method: str, path: str, **headers: str
) -> Future[Answer]:
    def request() -> Answer:
        with Rest(gateway.http_url, project=rest.project) as other:
            return other.ask(method, path, **headers)

    before = value(gateway, "waiting_requests")
    sent = threads.submit(request)
    wait_until(lambda: value(gateway, "waiting_requests") > before or sent.done())
    return sent


def post(rest: Rest, *bodies: Any, **fields: Any) -> None:
    rest.done("POST", MESSAGES, {"messages": [{"body": body, **fields} for body in bodies]})


def bodies(answer: Answer) -> list[Any]:
    assert answer.status in (200, 201), answer
    return [message["body"] for message in answer.body["messages"]]


# What comes


def test_what_is_there_is_answered_at_once(rest: Rest) -> None:
    post(rest, 1)
    assert bodies(rest.ask("GET", f"{MESSAGES}?echo=true&wait={LONG}")) == [1]
    assert bodies(rest.ask("POST", f"{CLAIMS}?wait={LONG}")) == [1]


def test_what_is_posted_ends_the_wait(gateway: Gateway, rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE)
    listing = ask("GET", f"{MESSAGES}?wait={LONG}")
    claiming = ask("POST", f"{CLAIMS}?wait={LONG}")
    post(rest, 1, 2)
    assert bodies(listing.result()) == bodies(claiming.result()) == [1, 2]
    assert listing.result().headers["cache-control"] == "no-store"
    wait_until(lambda: value(gateway, "waiting_requests") == 0)


def test_the_links_of_a_page_wait_too(rest: Rest, ask: Ask) -> None:
    post(rest, 1)
    page = rest.done("GET", f"{MESSAGES}?echo=true&wait={LONG}")
    (link,) = page["links"]
    next_page = ask("GET", link["href"])
    post(rest, 2)
    assert bodies(next_page.result()) == [2]


def test_own_messages_do_not_end_the_wait_of_who_hides_them(gateway: Gateway, rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE)
    client = "3381af92-2b9e-11e3-b191-71861300734c"
    listing = ask("GET", f"{MESSAGES}?wait={LONG}", Client_ID=client)
    rest.done("POST", MESSAGES, {"messages": [{"body": "own"}]}, Client_ID=client)
    post(rest, "another's")
    assert bodies(listing.result()) == ["another's"]


def test_a_delay_that_ends(rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE, {"_default_message_delay": 1})
    listing = ask("GET", f"{MESSAGES}?wait={LONG}")
    claiming = ask("POST", f"{CLAIMS}?wait={LONG}")
    post(rest, 1)
    assert bodies(listing.result()) == bodies(claiming.result()) == [1]


def test_a_delayed_message_that_is_listed(rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE)
    listing = ask("GET", f"{MESSAGES}?include_delayed=true&wait={LONG}")
    post(rest, 1, delay=600)
    assert bodies(listing.result()) == [1]


def test_a_claim_that_is_released(rest: Rest, ask: Ask) -> None:
    post(rest, 1)
    held = rest.ask("POST", CLAIMS).headers["location"]
    claiming = ask("POST", f"{CLAIMS}?wait={LONG}")
    listing = ask("GET", f"{MESSAGES}?wait={LONG}")
    rest.done("DELETE", held)
    # Whoever is first; the other waits on for what the first one gives back.
    found = claiming.result()
    assert bodies(found) == [1]
    rest.done("DELETE", found.headers["location"])
    assert bodies(listing.result()) == [1]


def test_those_who_wait_for_work_get_it_in_turn(gateway: Gateway, rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE)
    workers = [ask("POST", f"{CLAIMS}?wait={LONG}&limit=1") for _ in range(5)]
    asked = value(gateway, "requests_total", action="claim_create", status="201")
    post(rest, 0, 1)
    for i in range(2):
        assert bodies(workers[i].result()) == [i]
    assert not any(worker.done() for worker in workers[2:])
    assert value(gateway, "requests_total", action="claim_create", status="201") == asked + 2
    post(rest, 2, 3, 4)
    assert [bodies(worker.result()) for worker in workers[2:]] == [[2], [3], [4]]


def test_who_waits_for_work_has_the_queue_made(rest: Rest, ask: Ask) -> None:
    claiming = ask("POST", f"{CLAIMS}?wait={LONG}")
    post(rest, 1)
    assert bodies(claiming.result()) == [1]


# When nothing comes


def test_when_the_time_is_over(rest: Rest) -> None:
    rest.done("PUT", QUEUE)
    assert rest.done("GET", f"{MESSAGES}?wait=1") == {"messages": [], "links": []}
    assert rest.ask("POST", f"{CLAIMS}?wait=1").status == 204


def test_a_queue_that_is_missing_is_looked_for_when_the_time_is_over(rest: Rest, ask: Ask) -> None:
    listing = ask("GET", f"{MESSAGES}?wait=2")
    assert rest.done("GET", "/v2/queues")["queues"] == []
    post(rest, 1)
    assert bodies(listing.result()) == [1]


def test_a_queue_that_is_deleted(rest: Rest, ask: Ask) -> None:
    rest.done("PUT", QUEUE)
    listing, claiming = ask("GET", f"{MESSAGES}?wait=2"), ask("POST", f"{CLAIMS}?wait=2")
    rest.done("DELETE", QUEUE)
    assert listing.result().body["messages"] == []
    assert claiming.result().status == 204


@pytest.mark.parametrize("wait", ["-1", "21", "1.5", "soon"])
def test_what_is_no_time(rest: Rest, wait: str) -> None:
    assert rest.refused(400, "GET", f"{MESSAGES}?wait={wait}") == "bad_request"
    assert rest.refused(400, "POST", f"{CLAIMS}?wait={wait}") == "bad_request"


def test_who_has_gone_waits_no_longer(gateway: Gateway, rest: Rest) -> None:
    rest.done("PUT", QUEUE)
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send(
            f"POST {CLAIMS}?wait={LONG} HTTP/1.1\r\nHost: {raw.host}\r\nX-Project-ID: {rest.project}\r\n"
            f"Client-ID: 3381af92-2b9e-11e3-b191-71861300734c\r\nContent-Length: 0\r\n\r\n".encode()
        )
        wait_until(lambda: value(gateway, "waiting_requests") == 1)
    wait_until(lambda: value(gateway, "waiting_requests") == 0)
    post(rest, 1)
    assert bodies(rest.ask("DELETE", f"{MESSAGES}?pop=1")) == [1]


def test_a_node_that_stops_answers_at_once(tmp_path: Path) -> None:
    with (
        start_gateway(tmp_path / "data") as gateway,
        Rest(gateway.http_url) as rest,
        ThreadPoolExecutor() as threads,
    ):
        rest.done("PUT", QUEUE)
        listing = waiting(threads, gateway, rest, "GET", f"{MESSAGES}?wait={LONG}")
        claiming = waiting(threads, gateway, rest, "POST", f"{CLAIMS}?wait={LONG}")
        gateway.terminate()
        assert listing.result().body["messages"] == []
        assert claiming.result().status == 204
        assert gateway.wait() == 0
        assert "stop_took_too_long" not in [event["event"] for event in gateway.events]


def test_nobody_waits_longer_than_their_token_lives(tmp_path: Path) -> None:
    issuer = Issuer.new()
    with (
        start_gateway(tmp_path / "data", *issuer.arguments(tmp_path)) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p", seconds=6)) as rest,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as other,
    ):
        other.done("PUT", QUEUE)
        assert rest.done("GET", f"{MESSAGES}?wait={LONG}")["messages"] == []
        rest.refused(401, "GET", f"{MESSAGES}?wait={LONG}")


@pytest.mark.parametrize("limit", ["max_waiting_requests", "max_waiting_requests_per_project"])
def test_as_many_as_may_wait(tmp_path: Path, limit: str) -> None:
    option = "--" + limit.replace("_", "-")
    with (
        start_gateway(tmp_path / "data", option, "2") as gateway,
        Rest(gateway.http_url) as rest,
        Rest(gateway.http_url) as stranger,
        ThreadPoolExecutor() as threads,
    ):
        rest.done("PUT", QUEUE)
        stranger.done("PUT", QUEUE)
        others = [waiting(threads, gateway, rest, "GET", f"{MESSAGES}?wait={LONG}") for _ in range(2)]
        answer = rest.ask("POST", f"{CLAIMS}?wait=1")
        assert (answer.status, answer.body["code"]) == (429, "too_many_requests")
        assert int(answer.headers["retry-after"]) >= 1
        assert value(gateway, "refused_total", limit=limit) == 1
        # Who does not wait is not refused, and a project keeps nobody else from waiting.
        assert rest.ask("POST", CLAIMS).status == 204
        status = stranger.ask("POST", f"{CLAIMS}?wait=1").status
        assert status == (204 if limit.endswith("project") else 429)
        post(rest, 1)
        assert [bodies(other.result()) for other in others] == [[1], [1]]
        assert rest.ask("GET", f"{MESSAGES}?wait=1&include_claimed=false").status == 200
