"""Messages that are delivered as mail: by a real gateway, to a real mail server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, start_gateway
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.smtp import SmtpServer, start_smtp

MESSAGES = "/v2/queues/jobs/messages"
SUBSCRIPTIONS = "/v2/queues/jobs/subscriptions"
AT_ONCE = {"retries_with_no_delay": 1, "minimum_delay_retries": 0, "maximum_delay_retries": 0}
"""A retry policy that soon gives up."""


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[SmtpServer]:
    with start_smtp(tmp_path / "mail") as server:
        yield server


@pytest.fixture
def mailing(tmp_path: Path, smtp: SmtpServer) -> Iterator[Gateway]:
    with start_gateway(tmp_path / "data", *smtp.options()) as gateway:
        yield gateway


@pytest.fixture
def rest(mailing: Gateway) -> Iterator[Rest]:
    with Rest(mailing.http_url) as client:
        yield client


def post(rest: Rest, *bodies: Any) -> list[str]:
    told = rest.done("POST", MESSAGES, {"messages": [{"body": body} for body in bodies]})
    return [path.rpartition("/")[2] for path in told["resources"]]


def delivery(rest: Rest, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = rest.done("GET", f"{SUBSCRIPTIONS}/{name}")["delivery"]
    return shown


def test_messages_come_as_mail_in_order(rest: Rest, smtp: SmtpServer) -> None:
    asked = {"subscriber": "mailto:ada@example.org?subject=Jobs", "options": {"from": "jobs@example.com"}}
    name = rest.done("POST", SUBSCRIPTIONS, asked)["subscription_id"]
    ids = post(rest, *range(5))
    mails = smtp.wait_mails(5)
    assert [json.loads(mail.text)["body"] for mail in mails] == [*range(5)]
    assert json.loads(mails[0].text) == {
        "ttl": 3600,
        "body": 0,
        "Message_Type": "Notification",
        "queue_name": "jobs",
    }
    assert [mail.message["Message-ID"].split(".")[0] for mail in mails] == [f"<{each}" for each in ids]
    assert {(mail.message["Subject"], mail.message["From"]) for mail in mails} == {
        ("Jobs", "jobs@example.com")
    }
    wait_until(lambda: delivery(rest, name)["delivered"] == 5, 30)


def test_a_server_that_is_away_or_busy_loses_nothing(rest: Rest, smtp: SmtpServer) -> None:
    policy = {"retries_with_no_delay": 0, "minimum_delay_retries": 100, "minimum_delay": 1}
    asked = {"subscriber": "mailto:ada@example.org", "options": {"_retry_policy": policy}}
    name = rest.done("POST", SUBSCRIPTIONS, asked)["subscription_id"]
    smtp.answer("451 4.3.0 Later")
    post(rest, "busy")
    wait_until(lambda: "451 4.3.0" in delivery(rest, name)["last_error"], 30)
    smtp.kill()
    smtp.answer(None)
    post(rest, "away")
    wait_until(lambda: "could not be asked" in delivery(rest, name)["last_error"], 30)
    smtp.start()
    assert [json.loads(mail.text)["body"] for mail in smtp.wait_mails(2, 60)] == ["busy", "away"]
    assert delivery(rest, name)["failed"] == 0


def test_what_is_refused_goes_to_the_dead_letters(rest: Rest, smtp: SmtpServer) -> None:
    rest.done("PUT", "/v2/queues/jobs", {"_dead_letter_queue": "dead"})
    name = rest.done("POST", SUBSCRIPTIONS, {"subscriber": "mailto:full@example.org"})["subscription_id"]
    post(rest, "lost?")
    wait_until(lambda: delivery(rest, name)["failed"] == 1, 30)
    assert delivery(rest, name)["last_error"] == "The mail server answered 552 5.2.2."

    def dead() -> list[Any]:
        return [each["body"] for each in rest.done("GET", "/v2/queues/dead/messages?echo=true")["messages"]]

    wait_until(lambda: dead() == ["lost?"], 30)


def test_without_a_mail_server_the_subscriber_is_told(gateway: Gateway) -> None:
    with Rest(gateway.http_url) as rest:
        asked = {"subscriber": "mailto:ada@example.org", "options": {"_retry_policy": AT_ONCE}}
        name = rest.done("POST", SUBSCRIPTIONS, asked)["subscription_id"]
        post(rest, 1)
        wait_until(lambda: delivery(rest, name)["failed"] == 1, 30)
        assert "smtp_host" in delivery(rest, name)["last_error"]
