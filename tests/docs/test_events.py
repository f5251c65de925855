"""docs/events.md: what stands there works as it stands there, and it names every event."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import fields

from gateway.http.rest.parameters import IN_URL
from schemas.events import STREAM_EVENTS
from tests.support.chromium import Chromium
from tests.support.gateway import Gateway, start_gateway
from tests.support.javascript import served
from tests.support.metrics import value
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.tokens import Issuer

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
HERE = "http://127.0.0.1:9000"


def code(language: str) -> list[str]:
    """The pieces of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("event", STREAM_EVENTS, ids=lambda event: event.__name__)
def test_every_event_is_described(event: type) -> None:
    name, *told = [field.default if field.name == "event" else field.encode_name for field in fields(event)]
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
    assert row.split("|")[2].split() == ", ".join(f"`{field}`" for field in told).split()


def test_every_parameter_is_named() -> None:
    for name in IN_URL:
        assert re.search(rf"\b{name}\b", TEXT)


def is_subscribed(rest: Rest) -> bool:
    return bool(rest.done("GET", "/v2/queues/news/subscriptions")["subscriptions"])


def test_a_browser_with_and_without_a_signature(tmp_path: Path) -> None:
    plain, signed = code("js")
    issuer, keys = Issuer.new(), tmp_path / "keys"
    keys.write_text("a key that only this test has")
    token = issuer.token(project="demo")
    site = tmp_path / "site"
    site.mkdir()

    def show(script: str, gateway: Gateway) -> None:
        script = script.replace(HERE, gateway.http_url).replace("eyJ…", token)
        page = f'<!doctype html><script type="module">{script}</script>'
        (site / "page.html").write_text(page, encoding="utf-8")

    guards = [*issuer.arguments(tmp_path), "--signing-key-file", str(keys)]
    with served(site) as address, Chromium(tmp_path / "profile") as browser:
        for arguments, script in (([], plain), (guards, signed)):
            with (
                start_gateway(tmp_path / f"data-{len(arguments)}", *arguments) as gateway,
                Rest(gateway.http_url, project="demo", token=token if arguments else "") as rest,
            ):
                rest.done("PUT", "/v2/queues/news")
                show(script, gateway)
                browser.open(f"{address}/page.html")
                wait_until(partial(is_subscribed, rest))
                body = f"it came to {len(arguments)}"
                rest.done("POST", "/v2/queues/news/messages", {"messages": [{"body": body}]})
                browser.wait_console(body)


def test_the_commands_work(tmp_path: Path) -> None:
    (block,) = code("console")
    with start_gateway(tmp_path / "data") as gateway:
        script = re.sub(r"^\$ ", "", block, flags=re.MULTILINE).replace(HERE, gateway.http_url)
        done = subprocess.run(
            ["bash", "-euc", script], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if '"body":"second"' in line]


def test_the_worker_works(tmp_path: Path) -> None:
    (source,) = code("python")
    with start_gateway(tmp_path / "data") as gateway, Rest(gateway.http_url, project="demo") as rest:
        worker = subprocess.Popen(
            [sys.executable, "-c", source.replace(HERE, gateway.http_url)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        try:
            wait_until(lambda: value(gateway, "waiting_requests") == 1)
            for number in range(3):
                rest.done("POST", "/v2/queues/jobs/messages", {"messages": [{"body": number}]})
                assert int(worker.stdout.readline()) == number
            stats = "/v2/queues/jobs/stats"
            wait_until(lambda: rest.done("GET", stats)["messages"]["total"] == 0)
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()
