"""Frames that hold too much, however few bytes they have, on a running gateway."""

from __future__ import annotations

import msgpack

from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.metrics import value


def test_a_frame_of_tiny_parts_is_refused_and_the_socket_goes_on(gateway: Gateway) -> None:
    before = value(gateway, "refused_total", limit="frame_parts")
    with Client(gateway.url, form="msgpack") as client:
        client.send_raw(msgpack.packb({"action": "queue_list", "body": [[]] * 1_000_000}))
        reply = client.receive_reply()
        assert (reply.status, reply.body["code"]) == (400, "too_many_parts")
        done(client.request("ping_node"), 204)
    assert value(gateway, "refused_total", limit="frame_parts") == before + 1
