"""Talks to a gateway with the stock python-zaqarclient, as its users do; run by test_zaqarclient.py.

It runs in an environment of its own, where nothing of the gateway is installed. Prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from zaqarclient.transport import errors, get_transport_for, request


def main(endpoint: str, token: str, project: str) -> None:
    """Authenticate, create a queue, post, claim, delete: each through the client's low-level transport."""
    options = {
        "auth_opts": {
            "backend": "keystone",
            "options": {"os_auth_token": token, "os_project_id": project},
        }
    }
    got: list[list[Any]] = []
    with get_transport_for(endpoint, options=options) as transport:

        def call(operation: str, **body: object) -> Any:
            asked = request.Request(endpoint, operation, content=json.dumps(body))
            response = transport.send(asked)  # the first one authenticates
            content = json.loads(response.content)
            got.append([operation, response.status_code, content])
            return content

        call("queue_create", queue_name="jobs", metadata={"owner": "stock"})
        call("message_post", queue_name="jobs", messages=[{"ttl": 300, "body": {"job": 1}}, {"body": "two"}])
        claim = call("claim_create", queue_name="jobs", ttl=60, grace=60, limit=1)
        message = claim["messages"][0]["id"]
        call("message_delete", queue_name="jobs", message_id=message, claim_id=claim["claim_id"])
        call("message_list", queue_name="jobs", echo=True)
        try:
            call("message_get", queue_name="jobs", message_id=message)
        except errors.ResourceNotFound:
            got.append(["message_get", 404, None])
        call("queue_delete", queue_name="jobs")
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
