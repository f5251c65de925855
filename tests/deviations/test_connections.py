"""docs/compatibility.md, 8 to 12: what dropped the connection, or could have."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deviations.conftest import Connect
from tests.support.client import Client, encode
from tests.support.expect import bodies, done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.raw import BINARY, TEXT, RawSocket
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_valkey


def test_08_authenticate_succeeds_where_none_is_configured(client: Client) -> None:
    reply = client.request("authenticate", {}, {"X-Auth-Token": "whatever"})
    assert done(reply, 200) == {"message": "Authentified."}
    done(client.request("queue_list"), 200)


@pytest.mark.parametrize(
    ("action", "status"), [("get_home_doc", 200), ("check_node_health", 200), ("ping_node", 204)]
)
def test_09_the_actions_of_the_node_are_there(client: Client, action: str, status: int) -> None:
    assert isinstance(done(client.request(action, {}), status), dict)


def test_09_metadata_can_be_updated(client: Client) -> None:
    done(client.request("queue_create", {"queue_name": "q"}), 201)
    patch = [{"op": "add", "path": "/metadata/a", "value": 1}]
    assert done(client.request("queue_update", {"queue_name": "q", "patch": patch}), 200)["a"] == 1


@pytest.mark.parametrize("action", [None, 5, 1.5, True, [], {}, [["x"]], "", "\x00", "x" * 100_000])
def test_10_an_action_of_any_type_is_answered(client: Client, action: Any) -> None:
    client.send_raw(encode({"action": action, "headers": {}, "body": {}}, client.form))
    assert "is not a valid action" in done(client.receive_reply(), 400)["error"]
    done(client.request("ping_node"), 204)


@pytest.mark.parametrize(
    "content", ["", " ", "x", "{", "null", "[]", '"' * 1000, "{" * 500_000, "[" * 500_000]
)
def test_10_any_content_is_answered(client: Client, content: str) -> None:
    client.send_raw(content if client.form == "json" else content.encode())
    assert done(client.receive_reply(), 400)["error"]
    done(client.request("ping_node"), 204)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_10_what_is_too_large_is_closed_with_1009(gateway: Gateway, opcode: int) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send_frame(opcode, b"x" * 1_048_577)
        assert raw.receive_close() == 1009


def test_10_what_is_not_utf8_is_closed_with_1007(gateway: Gateway) -> None:
    with RawSocket(gateway.url) as raw:
        raw.send_frame(TEXT, b'{"action": "\xff"}')
        assert raw.receive_close() == 1007


def test_11_binary_bodies_are_stored(connect: Connect) -> None:
    data = bytes(range(256))
    binary = connect(form="msgpack")
    text = connect(form="json", project=binary.project)
    post(binary, "q", data, {"in": [data]})
    shown = {"$binary": base64.b64encode(data).decode()}
    assert bodies(text, "q") == [shown, {"in": [shown]}]
    assert bodies(binary, "q") == [data, {"in": [data]}]
    post(text, "back", shown, {"$binary": "not base64"}, {"$binary": "eA==", "more": 1})
    assert bodies(binary, "back") == [data, {"$binary": "not base64"}, {"$binary": "eA==", "more": 1}]


def test_11_binary_bodies_are_pushed_in_either_form(connect: Connect) -> None:
    binary = connect(form="msgpack")
    text = connect(form="json", project=binary.project)
    for each in (binary, text):
        done(each.request("subscription_create", {"queue_name": "q"}), 201)
    post(binary, "q", b"\xff")
    assert text.wait_notifications(1)[0]["body"] == {"$binary": "/w=="}
    assert binary.wait_notifications(1)[0]["body"] == b"\xff"


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[tuple[Gateway, Server]]:
    """A gateway whose store can be killed without its noticing."""
    with start_valkey(tmp_path / "store", appendonly="yes", appendfsync="always") as server:
        arguments = ("--redis-url", server.url, "--request-timeout", "3")
        with start_gateway(tmp_path / "data", *arguments) as gateway:
            yield gateway, server


def test_12_a_store_fault_costs_the_request_and_not_the_connection(frail: tuple[Gateway, Server]) -> None:
    gateway, server = frail
    with Client(gateway.url) as client:
        post(client, "q", 1)
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        server.kill()
        for action, body in (
            ("message_post", {"queue_name": "q", "messages": [{"body": 2}]}),
            ("message_list", {"queue_name": "q", "echo": True}),
            ("claim_create", {"queue_name": "q"}),
            ("ping_node", {}),
        ):
            reply = client.request(action, body)
            assert reply.status == 503, reply.document
            assert reply.body["code"] in ("store_unavailable", "outcome_unknown")
            assert reply.body["exception"]
        # What needs no store goes on.
        done(client.request("get_home_doc"), 200)
        assert done(client.request("queue_list"), 200)["queues"] == [{"name": "q"}]
        assert done(client.request("check_node_health"), 200)["storage_reachable"] is False
        server.restart()
        wait_until(lambda: client.request("ping_node").status == 204)
        assert bodies(client, "q") == [1]
        post(client, "q", 3)
        assert [item["body"] for item in client.wait_notifications(1)] == [3]
