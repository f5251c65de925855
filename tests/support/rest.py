"""A client of the REST API that sends what it is told to, and says what came back."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.closing import Closing

TIMEOUT = 30.0
"""Seconds that an answer may take."""


class Answer(NamedTuple):
    """What came back. `body` is None where there is none; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Rest(Closing):
    """One connection to a gateway, over which many requests go.

    :ivar headers: which each request has.
    :param project: another one for each client unless told; None: no header says it.
    """

    def __init__(self, url: str, *, project: str | None = "", token: str = "") -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.project = f"project-{uuid.uuid4().hex}" if project == "" else project
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        self.headers = {"Client-ID": str(uuid.uuid4())}
        if self.project is not None:
            self.headers["X-Project-ID"] = self.project
        if token:
            self.headers["X-Auth-Token"] = token

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request. Bytes go as they are, all else as JSON; in names of headers `_` stands for `-`."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        further = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body=sent, headers={**self.headers, **further})
        reply = self.connection.getresponse()
        raw = reply.read()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, found, json.loads(raw) if raw else None)

    def done(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """The same for a request that is done: the body of the answer."""
        answer = self.ask(method, path, body, **headers)
        assert answer.status < 300, answer
        return answer.body

    def refused(self, status: int, method: str, path: str, body: object = None, **headers: str) -> str:
        """The same for one that is refused with a status: the code."""
        answer = self.ask(method, path, body, **headers)
        assert answer.status == status, answer
        assert answer.body.keys() >= {"title", "description", "code"}
        return str(answer.body["code"])
