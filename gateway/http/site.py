"""What the port answers to plain HTTP: `/`, REST, `/healthz`, `/readyz`, `/metrics`, and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from gateway.actions.call import Node
from gateway.http.connection import HttpConnection
from gateway.http.connections import Connections
from gateway.http.files import FilePage, Folder
from gateway.http.request import make_request_type, read_headers
from gateway.http.resource import ReadOnly, answer, json_answer, request_id
from gateway.http.rest.resource import Rest
from gateway.logs import get_logger
from gateway.workers.channel import ChannelClosed
from protocol.errors import RequestError
from schemas.export import FOLDER as SCHEMAS

log = get_logger(__name__)

PAGES = Path(__file__).parents[1] / "pages"
"""The files that are served: a folder for each path."""

OPENAPI = Path(__file__).parent / "rest" / "openapi.json"
"""What gateway.http.rest.openapi has made of REST."""

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


def make_site(node: Node, rest: Rest, connections: Connections) -> Site:
    """All that plain HTTP offers. `rest` is what is under `/v2`; `connections` are those that it has."""
    root = ReadOnly()
    root.putChild(b"", _Versions(node))
    root.putChild(b"v2", rest)
    root.putChild(b"healthz", _Alive(node))
    root.putChild(b"readyz", _Ready(node))
    root.putChild(b"metrics", _Private(node, _Metrics(node)))
    root.putChild(b"schemas", Folder(SCHEMAS))
    root.putChild(b"asyncapi.json", FilePage(SCHEMAS / "asyncapi.json"))
    root.putChild(b"openapi.json", FilePage(OPENAPI))
    for name in ("sdk", "protocol"):
        root.putChild(name.encode(), Folder(PAGES / name))
    root.putChild(b"console", _Private(node, Folder(PAGES / "console")))
    # A form is no request here: nothing of Twisted's shall read it.
    site = Site(root, make_request_type(node), parsePOSTFormSubmission=False, timeout=60)
    site.noisy = False
    # Twisted's own would look for HTTP/2 too, which this port does not speak.
    timeout = node.settings.handshake_timeout
    site.protocol = lambda: HttpConnection(node.reactor, connections, timeout)  # type: ignore[assignment,return-value]  # its own type only passes on
    # Requests are counted in /metrics; Twisted's access log would say everything twice.
    site.log = lambda request: None  # type: ignore[method-assign]
    return site


class _Forbidden(ReadOnly):
    def render(self, request: Request) -> bytes:
        """403, whatever the method."""
        told = "This is for this machine, or for who has the token: metrics_token_file, public_metrics."
        return json_answer(request, 403, {"title": "Forbidden", "description": told})


class _Page(ReadOnly):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node


class _Versions(_Page):
    def render_GET(self, request: Request) -> bytes:
        """The versions of the API."""
        request.setHeader(b"x-openstack-request-id", request_id().encode())
        return json_answer(request, 300, VERSIONS)


class _Alive(_Page):
    def render_GET(self, request: Request) -> bytes:
        """200 as long as the process works."""
        return json_answer(request, 200, {"status": "ok"})


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
                request.write(answer(request, *found))
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


class _Private(_Page):
    """A page, and all below it, that is for this machine or for who has the token."""

    def __init__(self, node: Node, page: ReadOnly) -> None:
        super().__init__(node)
        self._page = page

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What is below the page, if it may be seen."""
        if not self._is_open(request):
            return _Forbidden()
        below: Resource = self._page.getChildWithDefault(path, request)  # type: ignore[no-untyped-call]  # Twisted's
        return below

    def render(self, request: Request) -> Any:
        """The page, if it may be seen."""
        return (self._page if self._is_open(request) else _Forbidden()).render(request)

    def _is_open(self, request: Request) -> bool:
        peer = getattr(request.getClientAddress(), "host", "")
        return self._node.access.may_see_private_pages(peer, read_headers(request))


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
