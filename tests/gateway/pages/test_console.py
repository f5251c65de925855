"""The console in a real browser, used as a person uses it (gateway/pages/console)."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import Chromium
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway

PICTURES = Path(os.environ["CONSOLE_PICTURES"]) if "CONSOLE_PICTURES" in os.environ else None
"""Where pictures for the docs are written, if somebody wants them."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url, project=f"console-{uuid.uuid4().hex[:8]}") as client:
        yield client


@pytest.fixture
def page(browser: Chromium, gateway: Gateway, client: Client) -> Chromium:
    """The console, connected to the client's project."""
    browser.resize(1280, 1000)
    browser.open(f"{gateway.http_url}/console/")
    browser.evaluate(f"localStorage.setItem('zaqar-gateway project', {json.dumps(client.project)})")
    browser.console.clear()
    browser.open(f"{gateway.http_url}/console/")
    browser.wait_for("document.getElementById('state').dataset.state === 'connected'")
    return browser


def text(page: Chromium, selector: str) -> str:
    found = page.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
    assert isinstance(found, str)
    return found


def fill(page: Chromium, selector: str, value: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")


def click(page: Chromium, selector: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def choose(page: Chromium, queue: str) -> None:
    has = f"[...document.querySelectorAll('#queues button')].find(each => each.innerText === '{queue}')"
    page.wait_for(f"!!({has})")
    page.evaluate(f"({has}).click()")
    page.wait_for("document.getElementById('tail-state').innerText.startsWith('Live')")


def test_queues_with_their_counts(page: Chromium, client: Client) -> None:
    post(client, "orders", 1, 2, 3)
    post(client, "mails", 1)
    page.open(page.evaluate("location.href"))
    page.wait_for("document.querySelectorAll('#queues tr').length === 2")
    page.wait_for("document.getElementById('queues').innerText.replace(/\\s+/g, ' ').includes('orders 3 0')")
    done(client.request("claim_create", {"queue_name": "orders", "limit": 2}), 201)
    page.wait_for("document.getElementById('queues').innerText.replace(/\\s+/g, ' ').includes('orders 1 2')")


def test_messages_appear_as_they_come(page: Chromium, client: Client) -> None:
    post(client, "news", "before")
    page.open(page.evaluate("location.href"))
    choose(page, "news")
    post(client, "news", {"n": 1}, "<b>two</b>")
    page.wait_for("document.querySelectorAll('#tail li').length === 2")
    shown = page.evaluate("[...document.querySelectorAll('#tail pre')].map(each => each.innerText)")
    assert shown == ["<b>two</b>", '{\n "n": 1\n}'], "the newest first, and no HTML"
    click(page, "#earliest")
    page.wait_for("document.querySelectorAll('#tail li').length === 3")
    click(page, "#clear")
    assert page.evaluate("document.querySelectorAll('#tail li').length") == 0


def test_what_is_shown_once_more_has_not_come_in_again(page: Chromium, client: Client) -> None:
    post(client, "again", "before")
    page.open(page.evaluate("location.href"))
    choose(page, "again")
    post(client, "again", 1, 2)
    page.wait_for("document.querySelectorAll('#tail li').length === 2")
    click(page, "#earliest")
    page.wait_for("document.querySelectorAll('#tail li').length === 3")
    post(client, "again", 3)
    page.wait_for("document.querySelectorAll('#tail li').length === 4")
    page.wait_for("document.getElementById('chart-told').innerText.includes('In (solid) 3,')")


def test_create_post_claim_and_delete(page: Chromium, client: Client) -> None:
    fill(page, "#create input", "jobs")
    click(page, "#create button")
    page.wait_for("document.getElementById('name').innerText === 'jobs'")
    assert page.evaluate("document.activeElement.id") == "name", "a screen reader goes on there"
    fill(page, "#post textarea", '{"job": 7}')
    click(page, "#post button")
    page.wait_for("document.getElementById('posted').innerText.startsWith('Posted ')")
    click(page, "#claim button")
    page.wait_for("!!document.querySelector('.claim .message')")
    assert '"job": 7' in text(page, ".claim")
    stats = done(client.request("queue_get_stats", {"queue_name": "jobs"}), 200)["messages"]
    assert (stats["claimed"], stats["free"]) == (1, 0)
    click(page, ".claim .message button")
    page.wait_for("!document.querySelector('.claim')")
    assert done(client.request("queue_get_stats", {"queue_name": "jobs"}), 200)["messages"]["total"] == 0
    click(page, "#claim button")
    page.wait_for("document.getElementById('claimed').innerText === 'Nothing is free.'")
    page.wait_for("document.getElementById('chart-told').innerText.includes('In (solid) 1')")


def test_what_is_refused_is_shown(page: Chromium) -> None:
    fill(page, "#create input", "not allowed!")
    page.evaluate("document.getElementById('create').noValidate = true")
    click(page, "#create button")
    page.wait_for("!document.getElementById('error').hidden")
    assert "400" in text(page, "#error")


def test_it_works_by_keyboard_alone(page: Chromium, client: Client) -> None:
    done(client.request("queue_create", {"queue_name": "keys"}), 201)
    page.open(page.evaluate("location.href"))
    page.wait_for("document.querySelectorAll('#queues button').length === 1")
    for _ in range(12):
        page.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "keys":
            break
    page.press("Enter")
    page.wait_for("document.getElementById('name').innerText === 'keys'")
    reached = []
    for _ in range(12):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.innerText"))
    assert reached[:3] == ["body", "ttl", "Post"]
    assert "Claim" in reached


def test_every_control_has_a_name_for_screen_readers(page: Chromium, client: Client) -> None:
    post(client, "named", 1)
    page.open(page.evaluate("location.href"))
    choose(page, "named")
    controls = [
        node
        for node in page.accessibility_tree()
        if not node.get("ignored")
        and node.get("role", {}).get("value") in ("button", "textbox", "spinbutton")
    ]
    assert len(controls) > 10
    assert [node for node in controls if not node.get("name", {}).get("value")] == []


def test_it_fits_a_phone(page: Chromium, client: Client) -> None:
    post(client, "a-queue-with-a-rather-long-name-that-goes-on-and-on", {"text": "x" * 500})
    page.resize(360, 740, dark=True)
    page.open(page.evaluate("location.href"))
    choose(page, "a-queue-with-a-rather-long-name-that-goes-on-and-on")
    click(page, "#earliest")
    page.wait_for("document.querySelectorAll('#tail li').length === 1")
    assert page.evaluate("document.documentElement.scrollWidth <= 360")


def test_it_goes_on_after_the_gateway_was_restarted(browser: Chromium, tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as first:
        port = first.http_url.rpartition(":")[2]
        with Client(first.url, project="demo") as client:
            post(client, "news", "one")
        browser.open(f"{first.http_url}/console/")
        browser.evaluate("localStorage.clear()")
        browser.open(f"{first.http_url}/console/")
        choose(browser, "news")
    browser.wait_for("document.getElementById('state').innerText.startsWith('Waiting')")
    with start_gateway(tmp_path / "data", "--port", port) as again:
        with Client(again.url, project="demo") as client:
            post(client, "news", "two")
        browser.wait_for("document.querySelectorAll('#tail li').length === 1", timeout=60)
        assert "two" in text(browser, "#tail")
        assert "Nothing is missing" in text(browser, "#tail-state")


def test_pictures(page: Chromium, client: Client) -> None:
    post(client, "mails", *range(4))
    post(client, "orders", *({"order": 1000 + n, "total": n * 9.5} for n in range(3)))
    page.resize(1280, 1100)
    page.open(page.evaluate("location.href"))
    choose(page, "orders")
    click(page, "#earliest")
    page.wait_for("document.querySelectorAll('#tail li').length === 3")
    click(page, "#claim button")
    page.wait_for("!!document.querySelector('.claim')")
    light = page.screenshot()
    page.resize(390, 844, dark=True)
    dark = page.screenshot()
    assert light.startswith(b"\x89PNG")
    assert light != dark
    if PICTURES is not None:
        (PICTURES / "console.png").write_bytes(light)
        (PICTURES / "console-phone.png").write_bytes(dark)


def test_the_page_of_the_protocol(browser: Chromium, gateway: Gateway) -> None:
    browser.open(f"{gateway.http_url}/protocol/")
    browser.wait_for("document.querySelectorAll('article').length > 40")
    assert "queue_name" in text(browser, "#message_post")
    assert browser.evaluate(
        "[...document.querySelectorAll('nav a')].every(each => document.getElementById(each.hash.slice(1)))"
    )
