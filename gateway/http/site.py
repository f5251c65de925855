"""What the port answers to plain HTTP: `/`, `/healthz`, `/readyz`, `/metrics` and `/sdk/`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from gateway import __version__
from gateway.actions.call import Node
from gateway.http import sdk
from gateway.logs import get_logger
from gateway.workers.channel import ChannelClosed
from protocol.errors import RequestError

log = get_logger(__name__)

VERSIONS = {
    "versions": [
        {
            "id": "2",
            "status": "CURRENT",
            "updated": "2014-9-24T04:06:47Z",
            "media-types": [
                {"base": "application/json", "type": "application/vnd.openstack.messaging-v2+json"}
            ],
            "links": [{"href": "/v2/", "rel": "self"}],
        }
    ]
}
"""protocol.md section 8, GET /."""


def make_site(node: Node) -> Site:
    """All that plain HTTP offers."""
    root = _Resource()
    root.putChild(b"", _Versions(node))
    root.putChild(b"healthz", _Alive(node))
    root.putChild(b"readyz", _Ready(node))
    root.putChild(b"metrics", _Metrics(node))
    root.putChild(b"sdk", _Sdk())
    site = Site(root, requestFactory=_Request, timeout=60)
    site.noisy = False
    # Requests are counted in /metrics; Twisted's access log would say everything twice.
    site.log = lambda request: None  # type: ignore[method-assign]
    return site


def _answer(request: Request, status: int, kind: bytes, body: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", kind)
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"server", f"zaqar-gateway/{__version__}".encode())
    return body


def _json(request: Request, status: int, document: object) -> bytes:
    return _answer(request, status, b"application/json", json.dumps(document).encode() + b"\n")


class _Request(Request):
    def process(self) -> None:
        """Answer one request per connection: Host and Upgrade are looked at in a connection's first only."""
        self.channel.persistent = False
        self.setHeader(b"connection", b"close")  # type: ignore[no-untyped-call]  # Twisted's is not typed
        super().process()  # type: ignore[no-untyped-call]  # the same

    def handleContentChunk(self, data: bytes) -> None:
        """Throw it away: nothing here takes a body, so none may fill memory or disk."""


class _Resource(Resource):
    """Refuses in the form that REST has (protocol.md section 8), not with Twisted's pages."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not typed

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What is not there."""
        return _Missing()

    def render(self, request: Request) -> Any:
        """All that is here can be read, and nothing else."""
        if request.method in (b"GET", b"HEAD"):
            return super().render(request)  # type: ignore[no-untyped-call]  # Twisted's is not typed
        request.setHeader(b"allow", b"GET, HEAD")
        return _json(request, 405, {"title": "Method not allowed", "description": "Use GET."})


class _Missing(_Resource):
    def render(self, request: Request) -> bytes:
        """404, whatever the method."""
        told = (
            "Plain HTTP has /, /healthz, /readyz, /metrics and /sdk/; all else is asked for over a WebSocket."
        )
        return _json(request, 404, {"title": "Not found", "description": told})


class _Sdk(_Missing):
    """The folder of the JavaScript SDK; the folder itself shows nothing."""

    def __init__(self) -> None:
        super().__init__()
        for name, text in sdk.modules().items():
            self.putChild(name, _Module(text))


class _Module(_Resource):
    """A module of JavaScript, which any page may import: there is nothing secret in it."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text
        self._tag = b'"%s"' % hashlib.sha256(text).hexdigest()[:32].encode()

    def render_GET(self, request: Request) -> bytes:
        """The module; 304 if the browser has this version."""
        request.setHeader(b"access-control-allow-origin", b"*")
        # A page must not mix modules of two versions: the browser asks each time.
        request.setHeader(b"cache-control", b"no-cache")
        if request.setETag(self._tag):
            return b""
        return _answer(request, 200, b"text/javascript; charset=utf-8", self._text)


class _Page(_Resource):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node


class _Versions(_Page):
    def render_GET(self, request: Request) -> bytes:
        """The versions of the API."""
        return _json(request, 300, VERSIONS)


class _Alive(_Page):
    def render_GET(self, request: Request) -> bytes:
        """200 as long as the process works."""
        return _json(request, 200, {"status": "ok"})


Found = tuple[int, bytes, bytes]
"""What a page answers once it knows: status, content type, body."""


class _LatePage(_Page):
    """A page that has to ask others first."""

    def render_GET(self, request: Request) -> int:
        """What `_look` finds; 500 if it fails."""
        left: list[Failure] = []
        request.notifyFinish().addErrback(left.append)

        def reply(found: Found) -> None:
            if not left:
                request.write(_answer(request, *found))
                request.finish()

        def broke(failure: Failure) -> None:
            log.error("page_failed", path=request.path.decode(), failure=failure.getTraceback())
            reply((500, b"text/plain", b"The gateway failed on this request.\n"))

        Deferred.fromCoroutine(self._look()).addCallbacks(reply, broke)
        return NOT_DONE_YET

    async def _look(self) -> Found:
        raise NotImplementedError


class _Metrics(_LatePage):
    """Prometheus' text format; 503 if the node's other processes do not say what they have counted."""

    async def _look(self) -> Found:
        try:
            text = await self._node.all_metrics()
        except (ChannelClosed, TimeoutError):
            return 503, b"text/plain", b"The supervisor of this worker does not answer.\n"
        return 200, b"text/plain; version=0.0.4; charset=utf-8", text


class _Ready(_LatePage):
    """200 if the store and the catalog answer and the store keeps what it is given; else 503."""

    async def _look(self) -> Found:
        found: dict[str, Any] = {}
        ready = not self._node.draining
        try:
            seen = await self._node.stores.default.store.durability()
            found["store"] = {
                "status": "ok",
                "server": seen.server,
                "role": seen.role,
                "persistence": seen.persistence,
                "eviction": seen.eviction,
            }
            if seen.eviction not in ("noeviction", "unknown"):
                found["store"]["status"] = "maxmemory-policy must be noeviction, or messages are lost"
                ready = False
            if seen.role == "replica":
                found["store"]["status"] = "it is a read-only replica"
                ready = False
        except RequestError as error:
            found["store"] = {"status": str(error), "code": error.code}
            ready = False
        try:
            await self._node.catalog.ping()
            found["catalog"] = {"status": "ok"}
        except RequestError as error:
            found["catalog"] = {"status": str(error), "code": error.code}
            ready = False
        document = json.dumps({"ready": ready, **found}).encode() + b"\n"
        return (200 if ready else 503), b"application/json", document
