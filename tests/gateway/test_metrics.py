"""`/metrics`: what it counts, and that no client can make it grow."""

from __future__ import annotations

import json
import string

import pytest

from protocol.registry import ACTIONS
from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway
from tests.support.metrics import samples, value
from tests.support.reactor import wait_until


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("ping_node", {}, "204"),
        ("queue_get", {"queue_name": "q"}, "200"),
        ("queue_get", {}, "400"),
        ("message_list", {"queue_name": "missing"}, "404"),
    ],
)
def test_requests_are_counted_by_action_and_status(
    gateway: Gateway, action: str, body: dict[str, str], status: str
) -> None:
    before = value(gateway, "requests_total", action=action, status=status)
    seconds_before = value(gateway, "request_seconds_count", action=action)
    with Client(gateway.url) as client:
        for _ in range(3):
            done(client.request(action, body), int(status))
    assert value(gateway, "requests_total", action=action, status=status) == before + 3
    assert value(gateway, "request_seconds_count", action=action) == seconds_before + 3
    assert value(gateway, "request_seconds_sum", action=action) > 0


def test_connections_are_those_that_are_open(gateway: Gateway) -> None:
    wait_until(lambda: value(gateway, "connections") == 0)  # those of other tests have ended
    clients = [Client(gateway.url) for _ in range(3)]
    for client in clients:
        client.request("ping_node")
    assert value(gateway, "connections") == 3
    for client in clients:
        client.close()
    wait_until(lambda: value(gateway, "connections") == 0)


def test_pushes_are_counted(gateway: Gateway) -> None:
    before = value(gateway, "pushes_total")
    with Client(gateway.url) as one, Client(gateway.url, project=one.project) as other:
        for client in (one, other):
            done(client.request("subscription_create", {"queue_name": "q"}), 201)
        post(one, "q", 1, 2, 3)
        for client in (one, other):
            client.wait_notifications(3)
        assert value(gateway, "pushes_total") == before + 6


def test_nothing_that_clients_choose_becomes_a_label(gateway: Gateway) -> None:
    hostile = ["x" * 1000, 'a"} 1\nfake_metric 1', "\x00", "{}", "invalid", 5, None, ["ping_node"], {"a": 1}]
    with Client(gateway.url) as client:
        for number, action in enumerate([*hostile, *(f"action_{number}" for number in range(200))]):
            headers = {"Client-ID": client.client_id, "X-Project-ID": f"project-{number}"}
            client.send_raw(json.dumps({"action": action, "headers": headers, "body": {}}))
            done(client.receive_reply(), 400)
        client.send_raw("no json")
        done(client.receive_reply(), 400)
        client.request("queue_get", {"queue_name": string.printable}, {"X-Project-ID": string.ascii_letters})
    found = samples(gateway)
    actions = {dict(labels)["action"] for _, labels in found if "action" in dict(labels)}
    assert actions <= {*ACTIONS, "invalid"}
    statuses = {dict(labels)["status"] for name, labels in found if name.endswith("requests_total")}
    assert all(status.isdecimal() and len(status) == 3 for status in statuses)
    assert {name for name, _ in found} <= {
        f"zaqar_gateway_{name}"
        for name in (
            *("connections", "requests_total", "requests_created", "pushes_total", "pushes_created"),
            *("reading_paused_total", "reading_paused_created", "refused_total", "refused_created"),
            *(
                "request_seconds_bucket",
                "request_seconds_count",
                "request_seconds_sum",
                "request_seconds_created",
            ),
            *("leases_total", "leases_created", "store_errors_total", "store_errors_created"),
            *("reading_paused_total", "reading_paused_created"),
            *("http_connections", "event_streams", "waiting_requests"),
            *("deliveries_total", "deliveries_created", "delivery_endpoints", "delivery_open_circuits"),
            *("deliveries_failed_total", "deliveries_failed_created"),
            *("deliveries_missed_total", "deliveries_missed_created"),
            *(f"delivery_seconds_{each}" for each in ("bucket", "count", "sum", "created")),
        )
    }
