"""A browser's EventSource on a page of another origin, over connections that break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.chaos_proxy import Fault
from tests.support.chaos_thread import chaos_thread
from tests.support.chromium import Chromium
from tests.support.gateway import Gateway, start_gateway
from tests.support.javascript import served
from tests.support.rest import Rest
from tests.support.tokens import Issuer

LISTEN = """
    window.came = []; window.told = [];
    window.events = new EventSource(%s);
    events.onmessage = event => came.push(JSON.parse(event.data).body);
    for (const name of ["gap", "draining", "token_expired", "subscription_ended"])
        events.addEventListener(name, event => told.push(JSON.parse(event.data)));
"""
FAULTS: tuple[Fault, ...] = ("cut", "close", "stall", "cut", "close")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture
def page(browser: Chromium, tmp_path: Path) -> Iterator[Chromium]:
    """A page of another origin than the gateway's."""
    (tmp_path / "page.html").write_text("<!doctype html><title>page</title>")
    with served(tmp_path) as site:
        browser.open(f"{site}/page.html")
        yield browser


def listen(page: Chromium, url: str, parameters: dict[str, str]) -> None:
    where = json.dumps(f"{url}/v2/queues/q/events?{urlencode(parameters)}")
    page.evaluate(f"(() => {{ {LISTEN % where} }})()")
    page.wait_for("events.readyState === EventSource.OPEN", PATIENCE)


def post(rest: Rest, *bodies: object) -> None:
    rest.done("POST", "/v2/queues/q/messages", {"messages": [{"body": body} for body in bodies]})


def test_nothing_is_lost_doubled_or_out_of_order(page: Chromium, gateway: Gateway) -> None:
    with Rest(gateway.http_url) as rest, chaos_thread(gateway.http_url) as proxy:
        rest.done("PUT", "/v2/queues/q")
        listen(page, proxy.url, {"project": str(rest.project)})
        for i, fault in enumerate(FAULTS):
            post(rest, *range(40 * i, 40 * i + 20))
            proxy.strike(fault)
            post(rest, *range(40 * i + 20, 40 * i + 40))
            page.wait_for(f"came.length >= {40 * i + 40}", PATIENCE)
        assert page.evaluate("came") == list(range(40 * len(FAULTS)))
        assert page.evaluate("told") == []


def test_a_signed_url_and_a_gateway_that_is_started_again(page: Chromium, tmp_path: Path) -> None:
    issuer, keys = Issuer.new(), tmp_path / "keys"
    keys.write_text("a key that only this test has")
    arguments = [*issuer.arguments(tmp_path), "--signing-key-file", str(keys)]
    with start_gateway(tmp_path / "data", *arguments) as gateway:
        with Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as rest:
            rest.done("PUT", "/v2/queues/q")
            url = rest.done("POST", "/v2/queues/q/share", {})
            signed = {name: url[name] for name in ("project", "signature", "expires")}
            lists = {name: ",".join(url[name]) for name in ("methods", "paths")}
            listen(page, gateway.http_url, {**signed, **lists})
            post(rest, 1)
            page.wait_for("came.length === 1", PATIENCE)
        gateway.terminate()
        page.wait_for("told.length === 1", PATIENCE)
        assert page.evaluate("told[0].event") == "draining"
        gateway.wait()
    place = gateway.http_url.rpartition(":")[2]
    with (
        start_gateway(tmp_path / "data", *arguments, "--port", place) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as rest,
    ):
        post(rest, 2, 3)
        page.wait_for("came.length === 3", PATIENCE)
        assert page.evaluate("came") == [1, 2, 3]


def test_a_page_that_may_not(page: Chromium, gateway: Gateway) -> None:
    with Rest(gateway.http_url) as rest:
        where = json.dumps(f"{gateway.http_url}/v2/queues/none/events?project={rest.project}")
        page.evaluate(f"(() => {{ {LISTEN % where} }})()")
        page.wait_for("events.readyState === EventSource.CLOSED", PATIENCE)
