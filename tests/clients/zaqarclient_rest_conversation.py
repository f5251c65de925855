"""Talks REST to a gateway with the stock python-zaqarclient, as its users do; run by test_zaqarclient.py.

It runs in an environment of its own, where nothing of the gateway is installed. Prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from zaqarclient.queues import client as zaqar


def main(endpoint: str, project: str) -> None:
    """Queues, messages, claims, subscriptions and a signed URL, through the client's objects."""
    options = {"backend": "noauth", "options": {"os_project_id": project}}
    client = zaqar.Client(endpoint, version=2, conf={"auth_opts": options})
    got: dict[str, Any] = {}

    queue = client.queue("jobs", force_create=True)
    queue.metadata(new_meta={"owner": "stock"})
    got["metadata"] = queue.metadata()
    got["posted"] = len(queue.post([{"ttl": 300, "body": {"job": n}} for n in range(25)])["resources"])
    got["listed"] = [message.body for message in queue.messages(echo=True, limit=10).stream()]
    claim = queue.claim(ttl=60, grace=60, limit=2)
    claimed = list(claim)
    got["claimed"] = [message.body for message in claimed]
    claim.update(ttl=120, grace=60)
    claimed[0].delete()
    claim.delete()
    got["popped"] = [message.body for message in queue.pop(count=2)]
    got["stats"] = queue.stats["messages"]["total"]
    subscription = client.subscription("jobs", subscriber="http://example.org/hook", ttl=600)
    subscription.update({"ttl": 700})
    got["subscriptions"] = [(one.subscriber, one.ttl) for one in client.subscriptions("jobs")]
    subscription.delete()
    got["signed"] = sorted(queue.signed_url(methods=["GET"]))
    queues, got["count"] = client.queues(detailed=True, with_count=True)
    got["queues"] = [one.name for one in queues]
    queue.delete()
    got["left"] = [one.name for one in client.queues()[0]]
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
