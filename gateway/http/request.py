"""A request over plain HTTP: which are taken, and where their bodies are kept."""

from __future__ import annotations

from io import BytesIO

import msgspec
from twisted.web.server import Request

from gateway.actions.call import Node
from gateway.auth.handshake import handshake_token
from gateway.http.resource import answer, json_answer
from gateway.http.rest import errors
from gateway.http.rest.cross_origin import answer_headers
from gateway.http.rest.reading import is_signed
from storage.sending import flush


def make_request_type(node: Node) -> type[Request]:
    """The type of the requests of a node. A connection serves many of them, one after the other."""

    class HttpRequest(Request):
        """Its body is kept in memory.

        Of one that is longer than it may be nothing is: 413 is the answer as soon as that is known. The rest
        is read and thrown away, so that a client that first sends all gets to read the answer.
        """

        # What an answer begins with that is given before all of the request is there.
        clientproto = b"HTTP/1.1"
        _most = node.settings.max_frame_bytes

        def gotLength(self, length: int | None) -> None:
            """Where the body goes: into memory, never to a file."""
            self.content = BytesIO()
            if length == 0:
                return
            if node.authenticator is not None and not self._is_authenticated():
                self._most = min(self._most, node.settings.max_unauthenticated_frame_bytes)
            if length is not None and length > self._most:
                self._too_large()

        def handleContentChunk(self, data: bytes) -> None:
            """A part of the body came in."""
            assert isinstance(self.content, BytesIO)
            if self.startedWriting:  # that it is too large
                return
            if self.content.tell() + len(data) > self._most:
                self._too_large()
            else:
                self.content.write(data)

        def process(self) -> None:
            """Look at what has been looked at in a connection's first request only; then answer."""
            if self.startedWriting:  # that it is too large
                self.finish()
                return
            hosts = self.requestHeaders.getRawHeaders(b"host", [])
            upgrades = b",".join(self.requestHeaders.getRawHeaders(b"upgrade", []))
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

        def write(self, data: bytes) -> None:
            """Send a part of the answer. A node that is about to stop says that it is the last."""
            if node.draining and not self.startedWriting:
                self._end_connection()
            super().write(data)  # type: ignore[no-untyped-call]  # the same

        def _is_authenticated(self) -> bool:
            """Whether it says who sends it; whether that is true is found out when it is there."""
            headers = read_headers(self)
            return is_signed(headers) or handshake_token(headers, ()) is not None

        def _too_large(self) -> None:
            """Answer so, and take no more of it."""
            self.content = BytesIO()
            self.requestHeaders.removeHeader(b"expect")  # it is not to be continued
            self._end_connection()
            headers = read_headers(self)
            if node.access.origin_allowed(headers):
                for name, value in answer_headers(headers).items():
                    self.setHeader(name.encode(), value.encode("latin-1"))  # type: ignore[no-untyped-call]  # the same
            error = errors.BodyTooLarge(self._most, authenticated=self._most == node.settings.max_frame_bytes)
            node.metrics.refused(error.limit)
            node.metrics.request_done("invalid", error.status, 0.0)
            document = msgspec.json.encode(errors.document(error))
            self.write(answer(self, error.status, b"application/json", document))

        def finish(self) -> None:
            """The answer is whole: it is sent at once, and not after another look at all sockets."""
            super().finish()  # type: ignore[no-untyped-call]  # the same
            flush(self.transport)

        def _refuse(self, status: int, title: str, told: str) -> None:
            """Answer, and end the connection: who sent this may have more of it."""
            self._end_connection()
            self.write(json_answer(self, status, {"title": title, "description": told}))
            self.finish()

        def _end_connection(self) -> None:
            if self.channel is not None:
                self.channel.persistent = False
            self.setHeader(b"connection", b"close")  # type: ignore[no-untyped-call]  # the same

    return HttpRequest


def read_headers(request: Request) -> dict[str, str]:
    """The headers of a request, names in lower case; several of a name joined by commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
