"""Talks REST to a gateway with the stock python-zaqarclient, as its users do; run by test_zaqarclient.py.

It runs in an environment of its own, where nothing of the gateway is installed. Prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openstack
from zaqarclient.queues import client as zaqar
from zaqarclient.transport.errors import ResourceNotFound


def connect(endpoint: str) -> Any:
    """A client where nobody authenticates; without an endpoint one of who the OS_ variables say."""
    if endpoint:
        auth = {"backend": "noauth", "options": {"os_project_id": "stock-rest"}}
        return zaqar.Client(endpoint, version=2, conf={"auth_opts": auth})
    session = openstack.connect().session
    return zaqar.Client(
        version=2, conf={"auth_opts": {"backend": "keystone", "options": {}}}, session=session
    )


def main(endpoint: str) -> None:
    """Queues, messages, claims, subscriptions and a signed URL, through the client's objects."""
    client = connect(endpoint)
    got: dict[str, Any] = {"ping": client.ping(), "home": sorted(client.homedoc()["resources"])}

    queue = client.queue("jobs", force_create=True)
    queue.metadata(new_meta={"owner": "stock"})
    got["metadata"] = queue.metadata()
    names = [
        path.rpartition("/")[2]
        for path in queue.post([{"ttl": 300, "body": {"job": n}} for n in range(25)])["resources"]
    ]
    got["posted"] = len(names)
    got["listed"] = [message.body for message in queue.messages(echo=True, limit=10).stream()]
    got["one"] = queue.message(names[3]).body
    got["several"] = [message.body for message in queue.messages(*names[3:6])]
    claim = queue.claim(ttl=60, grace=60, limit=2)
    claimed = list(claim)
    got["claimed"] = [message.body for message in claimed]
    claim.update(ttl=120, grace=60)
    got["renewed"] = [message.body for message in queue.claim(id=claim.id)]
    claimed[0].delete()
    claim.delete()
    try:
        list(queue.claim(id=claim.id))
    except ResourceNotFound as error:
        got["released"] = str(error)
    got["popped"] = [message.body for message in queue.pop(count=2)]
    queue.delete_messages(*names[3:6])
    got["stats"] = queue.stats["messages"]["total"]

    subscription = client.subscription("jobs", subscriber="http://example.org/hook", ttl=600)
    subscription.update({"ttl": 700})
    got["subscriptions"] = [(one.subscriber, one.ttl) for one in client.subscriptions("jobs")]
    subscription.delete()
    got["signed"] = sorted(queue.signed_url(methods=["GET"]))
    queue.purge()
    got["purged"] = queue.stats["messages"]["total"]

    others = [client.queue(f"other-{n}", force_create=True) for n in range(4)]
    queues, got["count"] = client.queues(detailed=True, with_count=True, limit=2)
    got["queues"] = [one.name for one in queues.stream()]
    for each in (queue, *others):
        each.delete()
    got["left"] = [one.name for one in client.queues()[0]]
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
