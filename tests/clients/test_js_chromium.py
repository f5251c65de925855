"""The JavaScript SDK in Chromium, as a page imports it: nothing is compiled, and the network is bad."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.support.chromium import Chromium
from tests.support.client import Client
from tests.support.expect import post
from tests.support.gateway import Gateway
from tests.support.javascript import ROOT, SDK, chaos_proxy, judge, served

PAGE = "test/end-to-end/page.html"

ADDRESS = "//127.0.0.1:9000/"
"""Where the gateway of the examples is."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where the SDK's files are served."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


def chaos(browser: Chromium, site: str, url: str, messages: int, pace: int, timeout: float) -> None:
    browser.open(f"{site}/{PAGE}")
    options = json.dumps({"url": url, "messages": messages, "pace": pace})
    judge(browser.evaluate(f"(await import('./chaos.js')).chaos({options})", timeout), messages)


def test_nothing_is_lost_doubled_or_out_of_order(browser: Chromium, site: str, gateway: Gateway) -> None:
    with chaos_proxy(gateway.url, seed=16, cuts=10, mean_seconds=0.5) as (url, faults):
        chaos(browser, site, url, messages=1_000, pace=5, timeout=120)
    assert len(faults) == 10


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_nothing_is_lost_over_a_hundred_cuts(browser: Chromium, site: str, gateway: Gateway) -> None:
    with chaos_proxy(gateway.url, seed=166, cuts=100, mean_seconds=0.6) as (url, faults):
        chaos(browser, site, url, messages=10_000, pace=8, timeout=900)
    assert len(faults) == 100


def test_a_page_that_is_loaded_again_goes_on_where_it_was(
    browser: Chromium, site: str, gateway: Gateway
) -> None:
    page = f"{site}/{PAGE}"
    project = "reloaded-page"
    take = f"""
        import("/src/index.js").then(async ({{ connect, webStorage }}) => {{
            const gateway = connect({{ url: "{gateway.url}", project: "{project}", storage: webStorage() }});
            const subscription = gateway.subscribe("news");
            const bodies = [];
            subscription.on("message", ({{ body }}) => bodies.push(body));
            await subscription.subscribed();
            window.taken = async (count) => {{
                while (bodies.length < count) await new Promise((done) => setTimeout(done, 10));
                return bodies;
            }};
        }})
    """
    with Client(gateway.url, project=project) as client:
        browser.open(page)
        browser.evaluate(take)
        post(client, "news", "one", "two")
        assert browser.evaluate("window.taken(2)") == ["one", "two"]
        browser.open("about:blank")
        post(client, "news", "three", "four")
        browser.open(page)
        browser.evaluate(take)
        post(client, "news", "five")
        assert browser.evaluate("window.taken(3)") == ["three", "four", "five"]


def test_the_console_example_of_the_projects_readme(browser: Chromium, gateway: Gateway) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"paste this into the console:\n\n```js\n(.+?)```", readme, re.DOTALL)
    assert found is not None
    assert ADDRESS in found.group(1)
    script = found.group(1).replace(ADDRESS, gateway.url.removeprefix("ws:")).replace('"demo"', '"console"')
    browser.open(f"{gateway.http_url}/")
    browser.console.clear()
    browser.evaluate(f"await (async () => {{ {script} }})()")
    browser.wait_console("world")


def test_the_example_of_the_readme(browser: Chromium, site: str, gateway: Gateway) -> None:
    readme = (SDK / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```html\n(.+?)```", readme, re.DOTALL)
    assert found is not None
    (script,) = re.findall(r"<script type=\"module\">\n(.+?)</script>", found.group(1), re.DOTALL)
    assert len(script.strip().splitlines()) == 5
    assert script.count(ADDRESS) == 2
    script = script.replace(ADDRESS, gateway.url.removeprefix("ws:"))
    browser.open(f"{site}/{PAGE}")
    browser.console.clear()
    browser.evaluate(
        f"document.body.append(Object.assign(document.createElement('script'), "
        f"{{type: 'module', text: {json.dumps(script)}}}))"
    )
    browser.wait_console("hello")
