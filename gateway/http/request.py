"""A request over plain HTTP: which are taken, and where their bodies are kept."""

from __future__ import annotations

from io import BytesIO

from twisted.web.server import Request

from gateway.actions.call import Node
from gateway.http.resource import json_answer


def make_request_type(node: Node) -> type[Request]:
    """The type of the requests of a node. A connection serves many of them, one after the other."""

    class HttpRequest(Request):
        """Its body is kept in memory up to `max_frame_bytes`; of a longer one nothing is: `too_large`."""

        too_large = False

        def gotLength(self, length: int | None) -> None:
            """Where the body goes: into memory, never to a file."""
            self.content = BytesIO()

        def handleContentChunk(self, data: bytes) -> None:
            """A part of the body came in."""
            assert isinstance(self.content, BytesIO)
            if self.content.tell() + len(data) > node.settings.max_frame_bytes:
                self.too_large = True
                self.content = BytesIO()
            if not self.too_large:
                self.content.write(data)

        def process(self) -> None:
            """Look at what has been looked at in a connection's first request only; then answer."""
            hosts = self.requestHeaders.getRawHeaders(b"host", [])
            upgrades = b",".join(self.requestHeaders.getRawHeaders(b"upgrade", []))
            if node.draining or self.too_large:
                self._end_connection()
            if len(hosts) > 1:
                self._refuse(400, "Bad request", "A request has one Host.")
            elif not node.access.host_allowed(hosts[0].decode("latin-1") if hosts else ""):
                told = "This gateway does not answer to that host name (allowed_hosts)."
                self._refuse(421, "Misdirected request", told)
            elif b"websocket" in upgrades.lower():
                told = "A WebSocket begins with a connection's first request, and Upgrade: websocket alone."
                self._refuse(400, "Bad request", told)
            else:
                super().process()  # type: ignore[no-untyped-call]  # Twisted's is not typed

        def _refuse(self, status: int, title: str, told: str) -> None:
            """Answer, and end the connection: who sent this may have more of it."""
            self._end_connection()
            self.write(json_answer(self, status, {"title": title, "description": told}))  # type: ignore[no-untyped-call]
            self.finish()  # type: ignore[no-untyped-call]

        def _end_connection(self) -> None:
            assert self.channel is not None
            self.channel.persistent = False
            self.setHeader(b"connection", b"close")  # type: ignore[no-untyped-call]  # the same

    return HttpRequest


def read_headers(request: Request) -> dict[str, str]:
    """The headers of a request, names in lower case; several of a name joined by commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
