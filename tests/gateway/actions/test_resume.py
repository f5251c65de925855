"""Subscriptions of extended sockets: positions, resume, gaps and notices, in both forms and on both paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from protocol.extension import SUBPROTOCOL
from tests.support.client import Client
from tests.support.expect import UNKNOWN_ID, done, post, refused

Reconnect = Callable[[], Client]


@pytest.fixture
def reconnect(extended: Client) -> Iterator[Reconnect]:
    """Connects further extended clients like the first."""
    with ExitStack() as closing:
        host, port = extended.socket.remote_address[:2]

        def make() -> Client:
            url, project = f"ws://{host}:{port}/", extended.project
            client = Client(url, form=extended.form, project=project, subprotocol=SUBPROTOCOL)
            return closing.enter_context(client)

        yield make


def subscribe(client: Client, **fields: Any) -> dict[str, Any]:
    told = done(client.request("subscription_create", {"queue_name": "q", **fields}), 201)
    assert not [each for each in client.notifications if each.get("queue_name") == "q"], "before the reply"
    return {key: told[key] for key in ("marker", "recovered", "gap")}


def seen(client: Client, count: int) -> list[Any]:
    return [each["body"] for each in client.wait_notifications(count)]


def quiet(client: Client) -> None:
    """Nothing more is on its way: what a post on this socket brings is the next."""
    known = len(client.notifications)
    post(client, "q", "end")
    assert seen(client, known + 1)[known:] == ["end"]
    client.notifications.pop()


def test_a_notification_says_where_it_stands(extended: Client) -> None:
    assert subscribe(extended) == {"marker": "0", "recovered": True, "gap": None}
    (message_id,) = post(extended, "q", {"a": 1}, ttl=300)
    (told,) = extended.wait_notifications(1)
    assert list(told) == [
        *("ttl", "body", "Message_Type", "queue_name", "message_id", "marker", "created"),
    ]
    assert told["message_id"] == message_id
    assert (told["ttl"], told["body"], told["Message_Type"]) == (300, {"a": 1}, "Notification")
    assert re.fullmatch("[0-9]{16}", told["marker"])
    assert re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", told["created"])
    page = {"queue_name": "q", "marker": told["marker"], "echo": True}
    assert done(extended.request("message_list", page), 200)["messages"] == []


@pytest.mark.parametrize("by", ["marker", "message_id"])
def test_who_resumes_gets_what_it_missed_and_what_comes(
    extended: Client, reconnect: Reconnect, by: str
) -> None:
    subscribe(extended)
    post(extended, "q", *range(300))
    fifth = extended.wait_notifications(300)[4]
    back = reconnect()
    told = subscribe(back, **{"from": fifth[by]})
    assert told == {"marker": fifth["marker"], "recovered": True, "gap": None}
    post(extended, "q", *range(300, 320))
    assert seen(back, 315) == list(range(5, 320))
    quiet(back)
    assert seen(extended, 321) == [*range(320), "end"]


def test_now_and_earliest(extended: Client, reconnect: Reconnect) -> None:
    post(extended, "q", 1, 2)
    (last,) = post(extended, "q", 3)
    late, early = reconnect(), reconnect()
    now = subscribe(late, **{"from": "now"})
    assert subscribe(early, **{"from": "earliest"}) == {"marker": "0", "recovered": True, "gap": None}
    post(extended, "q", 4)
    assert seen(early, 4) == [1, 2, 3, 4]
    assert seen(late, 1) == [4]
    assert early.notifications[2]["message_id"] == last
    assert now == {"marker": early.notifications[2]["marker"], "recovered": True, "gap": None}


def test_the_marker_of_a_subscription_is_one_to_resume_from(extended: Client, reconnect: Reconnect) -> None:
    post(extended, "q", 1)
    marker = subscribe(extended)["marker"]
    post(reconnect(), "q", 2, 3)
    back = reconnect()
    assert subscribe(back, **{"from": marker})["recovered"] is True
    assert seen(back, 2) == [2, 3]


def test_what_was_deleted_is_a_gap(extended: Client, reconnect: Reconnect) -> None:
    subscribe(extended)
    ids = post(extended, "q", *range(5))
    markers = [each["marker"] for each in extended.wait_notifications(5)]
    done(extended.request("message_delete", {"queue_name": "q", "message_id": ids[2]}), 204)
    missing, complete = reconnect(), reconnect()
    gap = {"from": markers[0], "to": markers[2], "reason": "deleted"}
    assert subscribe(missing, **{"from": markers[0]}) == {
        **{"marker": markers[0], "recovered": False, "gap": gap},
    }
    assert seen(missing, 3) == [1, 3, 4]
    assert subscribe(complete, **{"from": markers[2]})["recovered"] is True
    assert seen(complete, 2) == [3, 4]


def test_what_was_purged_is_a_gap_unless_all_is_asked_for(extended: Client, reconnect: Reconnect) -> None:
    start = subscribe(extended)["marker"]
    post(extended, "q", 1, 2)
    last = extended.wait_notifications(2)[1]["marker"]
    purge = {"queue_name": "q", "resource_types": ["messages"]}
    done(extended.request("queue_purge", purge), 204)
    gap = {"from": start, "to": last, "reason": "purged"}
    assert subscribe(reconnect(), **{"from": start}) == {"marker": start, "recovered": False, "gap": gap}
    assert subscribe(reconnect(), **{"from": last})["gap"] is None
    assert subscribe(reconnect(), **{"from": "earliest"})["gap"] is None


def test_a_marker_that_the_store_does_not_know_was_lost_by_it(extended: Client, reconnect: Reconnect) -> None:
    subscribe(extended)
    post(extended, "q", 1)
    marker = extended.wait_notifications(1)[0]["marker"]
    lost = str(int(marker) + 10**6)
    gap = {"from": marker, "to": lost, "reason": "failover"}
    back = reconnect()
    assert subscribe(back, **{"from": lost}) == {"marker": marker, "recovered": False, "gap": gap}
    post(extended, "q", 2)
    assert seen(back, 1) == [2]


@pytest.mark.parametrize("start", [5, "", None, "yesterday", "9" * 17, UNKNOWN_ID, ["now"]])
def test_from_is_a_marker(extended: Client, start: Any) -> None:
    post(extended, "q", 1)
    refused(extended.request("subscription_create", {"queue_name": "q", "from": start}), 400)


def test_an_illegal_marker_creates_no_queue(extended: Client) -> None:
    refused(extended.request("subscription_create", {"queue_name": "new", "from": "x"}), 400)
    assert done(extended.request("queue_list"), 200)["queues"] == []


def test_from_is_for_sockets(extended: Client) -> None:
    body = {"queue_name": "q", "subscriber": "http://a.example/", "from": "now"}
    refused(extended.request("subscription_create", body), 400, "from")
    told = done(extended.request("subscription_create", {**body, "subscriber": "", "from": "now"}), 201)
    assert told["recovered"] is True


def test_elsewhere_from_is_ignored(client: Client) -> None:
    post(client, "q", 1)
    told = done(client.request("subscription_create", {"queue_name": "q", "from": ["x"]}), 201)
    assert told.keys() == {"subscription_id", "message"}
    post(client, "q", 2)
    (notification,) = client.wait_notifications(1)
    assert notification == {"ttl": 3600, "body": 2, "Message_Type": "Notification", "queue_name": "q"}


def test_an_own_subscription_lives_as_long_as_its_socket(extended: Client) -> None:
    def ttl(**fields: Any) -> int:
        made = done(extended.request("subscription_create", {"queue_name": "q", **fields}), 201)
        named = {"queue_name": "q", "subscription_id": made["subscription_id"]}
        shown: int = done(extended.request("subscription_get", named), 200)["ttl"]
        done(extended.request("subscription_delete", named), 204)
        return shown

    assert ttl() == 315_360_000
    assert ttl(ttl=60) == 60
    assert ttl(subscriber="http://a.example/") == 3600


@pytest.mark.parametrize("reason", ["deleted", "purged", "queue_deleted"])
def test_the_end_of_a_subscription_is_told(extended: Client, reconnect: Reconnect, reason: str) -> None:
    made = done(extended.request("subscription_create", {"queue_name": "q"}), 201)["subscription_id"]
    post(extended, "q", 1)
    other = reconnect()
    action, body = {
        "deleted": ("subscription_delete", {"queue_name": "q", "subscription_id": made}),
        "purged": ("queue_purge", {"queue_name": "q", "resource_types": ["subscriptions"]}),
        "queue_deleted": ("queue_delete", {"queue_name": "q"}),
    }[reason]
    done(other.request(action, body), 204)
    ended = {"event": "subscription_ended", "queue_name": "q", "subscription_id": made, "reason": reason}
    assert extended.wait_notifications(2)[1] == ended
    post(other, "q", 2)
    done(extended.request("ping_node"), 204)
    assert len(extended.notifications) == 2


def test_elsewhere_it_is_not_told(client: Client) -> None:
    made = done(client.request("subscription_create", {"queue_name": "q"}), 201)["subscription_id"]
    gone = {"queue_name": "q", "subscription_id": made}
    done(client.request("subscription_delete", gone), 204)
    done(client.request("ping_node"), 204)
    assert client.notifications == []
