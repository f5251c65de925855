"""What every page of plain HTTP has in common."""

from __future__ import annotations

import json
import uuid
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

from gateway import __version__


def request_id() -> str:
    """A new one, for the header x-openstack-request-id (protocol.md section 8)."""
    return f"req-{uuid.uuid4()}"


def answer(request: Request, status: int, kind: bytes, body: bytes) -> bytes:
    """Set what stands before the body, whose content type is `kind`; returns the body, for `render`."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", kind)
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"server", f"zaqar-gateway/{__version__}".encode())
    return body


def json_answer(request: Request, status: int, document: object) -> bytes:
    """The same for a JSON document."""
    return answer(request, status, b"application/json", json.dumps(document).encode() + b"\n")


class ReadOnly(Resource):
    """Refuses in the form that REST has (protocol.md section 8), not with Twisted's pages."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not typed

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What is not there."""
        return Missing()

    def render(self, request: Request) -> Any:
        """All that is here can be read, and nothing else."""
        if request.method in (b"GET", b"HEAD"):
            return super().render(request)  # type: ignore[no-untyped-call]  # Twisted's is not typed
        request.setHeader(b"allow", b"GET, HEAD")
        return json_answer(request, 405, {"title": "Method not allowed", "description": "Use GET."})


class Missing(ReadOnly):
    """What is not there."""

    def render(self, request: Request) -> bytes:
        """404, whatever the method."""
        told = (
            "Plain HTTP has /, /v2/, /healthz, /readyz, /metrics, /console/, /protocol/, /sdk/, "
            "/schemas/, /openapi.json and /asyncapi.json."
        )
        return json_answer(request, 404, {"title": "Not found", "description": told})
