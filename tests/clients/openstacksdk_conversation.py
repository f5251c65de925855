"""Talks to a gateway with openstacksdk's message proxy, as its users do; run by test_openstack.py.

It runs in an environment of its own, where nothing of the gateway is installed, and finds Keystone by the
OS_ variables. Prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openstack
from openstack.exceptions import NotFoundException
from openstack.message.v2.claim import Claim

CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"


def main() -> None:
    """Every method of the proxy that works with Zaqar, and a token that is taken back in between."""
    connection = openstack.connect()
    messaging = connection.message
    got: dict[str, Any] = {
        "endpoint": messaging.get_endpoint(),
        "version": messaging.get_api_major_version(),
        "websocket": connection.session.get_endpoint(service_type="messaging-websocket"),
    }

    for n in range(7):
        messaging.create_queue(name=f"jobs-{n}", default_message_ttl=700, description="of the SDK")
    got["queues"] = [queue.name for queue in messaging.queues(limit=3)]
    queue = messaging.get_queue("jobs-0")
    got["queue"] = [queue.id, queue.default_message_ttl, queue.max_messages_post_size, queue.description]

    paths = messaging.post_message("jobs-0", [{"body": {"job": n}, "ttl": 600} for n in range(25)])
    names = [path.rpartition("/")[2] for path in paths]
    got["listed"] = [message.body["job"] for message in messaging.messages("jobs-0", limit=10)]
    message = messaging.get_message("jobs-0", names[0])
    got["message"] = [message.id == names[0], message.body, message.ttl]
    messaging.delete_message("jobs-0", names[24])

    # Not create_claim: with every server it takes the answer's Location for a dict.
    claim = Claim.new(queue_name="jobs-0", ttl=100, grace=60, client_id=CLIENT).create(messaging)
    got["claimed"] = [claimed["body"]["job"] for claimed in claim.messages]
    messaging.update_claim("jobs-0", claim.id, ttl=200)
    got["claim"] = messaging.get_claim("jobs-0", claim.id).ttl
    messaging.delete_message("jobs-0", claim.messages[0]["id"], claim=claim.id)
    got["free"] = [message.body["job"] for message in messaging.messages("jobs-0")][:2]
    messaging.delete_claim("jobs-0", claim.id)
    got["freed"] = [message.body["job"] for message in messaging.messages("jobs-0")][:2]
    nothing = messaging.create_claim("jobs-1", ttl=100, grace=60)
    got["nothing"] = nothing.messages

    for n in range(3):
        made = messaging.create_subscription("jobs-0", subscriber=f"http://example.org/{n}", ttl=600)
    got["subscription"] = messaging.get_subscription("jobs-0", made.id).subscriber
    messaging.delete_subscription("jobs-0", made.id)
    got["subscriptions"] = [one.subscriber for one in messaging.subscriptions("jobs-0")]

    # A token that is taken back before the gateway has seen it is answered 401: the SDK gets another.
    connection.session.auth.invalidate()
    token = connection.session.get_token()
    connection.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    try:
        messaging.get_message("jobs-0", names[24])
    except NotFoundException as error:
        got["missing"] = error.status_code
    got["token"] = connection.session.get_token() != token
    for n in range(7):
        messaging.delete_queue(f"jobs-{n}")
    got["left"] = [queue.name for queue in messaging.queues()]
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main()
