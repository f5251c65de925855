"""Requests that wait, when something breaks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.ready import get
from tests.support.gateway import start_gateway
from tests.support.metrics import value
from tests.support.proxy import Proxy
from tests.support.raw import RawSocket
from tests.support.reactor import wait_until
from tests.support.rest import Rest

MESSAGES, CLAIMS = "/v2/queues/q/messages", "/v2/queues/q/claims"


def test_a_claim_is_not_made_for_a_client_that_has_gone(proxy: Proxy, tmp_path: Path) -> None:
    with (
        start_gateway(tmp_path / "data", "--redis-url", proxy.url) as gateway,
        Rest(gateway.http_url) as rest,
    ):
        rest.done("POST", MESSAGES, {"messages": [{"body": 1}]})
        with RawSocket(gateway.http_url, handshake=False) as raw:
            proxy.stall()
            raw.send(
                f"POST {CLAIMS}?wait=20 HTTP/1.1\r\nHost: {raw.host}\r\nX-Project-ID: {rest.project}\r\n"
                f"Client-ID: 3381af92-2b9e-11e3-b191-71861300734c\r\nContent-Length: 0\r\n\r\n".encode()
            )
            get(gateway, "/healthz")  # the claim is on its way now
        get(gateway, "/healthz")  # and the client is known to have gone
        proxy.heal()
        wait_until(lambda: len(rest.done("DELETE", f"{MESSAGES}?pop=1")["messages"]) == 1)


def test_who_waits_hears_when_the_store_comes_back(proxy: Proxy, tmp_path: Path) -> None:
    with (
        start_gateway(tmp_path / "data", "--redis-url", proxy.url) as gateway,
        Rest(gateway.http_url) as rest,
        Rest(gateway.http_url, project=rest.project) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        rest.done("PUT", "/v2/queues/q")
        waiting = threads.submit(other.ask, "POST", f"{CLAIMS}?wait=20")
        wait_until(lambda: value(gateway, "waiting_requests") == 1)
        proxy.break_connections()
        wait_until(lambda: rest.ask("POST", MESSAGES, {"messages": [{"body": 1}]}).status == 201)
        answer = waiting.result()
        if answer.status == 503:  # it looked when the store could not be asked yet
            answer = other.ask("POST", f"{CLAIMS}?wait=20")
        assert [message["body"] for message in answer.body["messages"]] == [1]
