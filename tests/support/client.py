"""A small synchronous WebSocket client that speaks the protocol as a stock client does.

::

    with Client(gateway.url) as client:
        reply = client.request("queue_create", {"queue_name": "jobs"})
        assert reply.status == 201
"""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.closing import Closing

Form = Literal["json", "msgpack"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its body, and the echo of the request (protocol.md section 1)."""

    status: int
    body: Any
    request: Any
    document: dict[str, Any]
    """The whole reply as it came."""


class Client(Closing):
    """One socket. Frames that are no replies are kept in `notifications`, in the order they came.

    :param url: `ws://host:port/`.
    :param form: `"json"` sends text frames, `"msgpack"` binary ones. Both are read.
    :param project: the `X-Project-ID` of every request; a random one if not given.
    :param client_id: the `Client-ID` of every request; a random UUID if not given.
    :param subprotocol: offered in the handshake, one or several, if given.
    :param headers: further ones of the handshake.
    :param timeout: seconds that opening and each reply may take.
    :param tls: whom to trust with a `wss:` URL.
    """

    def __init__(
        self,
        url: str,
        *,
        form: Form = "json",
        project: str | None = None,
        client_id: str | None = None,
        subprotocol: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.form = form
        self.project = f"project-{uuid.uuid4().hex[:12]}" if project is None else project
        self.client_id = str(uuid.uuid4()) if client_id is None else client_id
        self.timeout = timeout
        self.notifications: list[Any] = []
        self._closing = ExitStack()
        self.socket: ClientConnection = self._closing.enter_context(
            connect(
                url,
                subprotocols=_offered(subprotocol),
                additional_headers=headers,
                max_size=None,
                open_timeout=timeout,
                close_timeout=timeout,
                proxy=None,
                ssl=tls and _with_tls_1_2(tls),
            )
        )

    def request(
        self, action: str, body: dict[str, Any] | None = None, headers: dict[str, Any] | None = None
    ) -> Reply:
        """Send one request and wait for its reply. `headers` go over the client's own.

        Raises `TimeoutError` without a reply in time and `ConnectionClosed` if the socket is closed.
        """
        self.send(action, body, headers)
        return self.receive_reply()

    def send(
        self, action: str, body: dict[str, Any] | None = None, headers: dict[str, Any] | None = None
    ) -> None:
        """Send one request; `receive_reply` gets its answer later."""
        document: dict[str, Any] = {
            "action": action,
            "headers": {"Client-ID": self.client_id, "X-Project-ID": self.project, **(headers or {})},
        }
        if body is not None:
            document["body"] = body
        self.send_raw(encode(document, self.form))

    def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is: text for `str`, binary for `bytes`."""
        self.socket.send(frame)

    def receive(self, timeout: float | None = None) -> Any:
        """The next frame, decoded, whatever it is. Raises `TimeoutError` after `timeout` seconds."""
        return decode(self.socket.recv(timeout=self.timeout if timeout is None else timeout))

    def receive_reply(self) -> Reply:
        """The next reply; what comes before it goes to `notifications`."""
        deadline = time.monotonic() + self.timeout
        while True:
            document = self.receive(max(0.0, deadline - time.monotonic()))
            if is_reply(document):
                return Reply(
                    document["headers"].get("status"), document.get("body"), document.get("request"), document
                )
            self.notifications.append(document)

    def wait_notifications(self, count: int, timeout: float | None = None) -> list[Any]:
        """Wait until `notifications` holds at least `count`, and return it.

        Raises `AssertionError` if fewer came within `timeout` seconds, or if a reply came unasked.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.notifications) < count:
            try:
                document = self.receive(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                seen = f"{len(self.notifications)} of {count} notifications came: {self.notifications!r:.500}"
                raise AssertionError(seen) from None
            assert not is_reply(document), f"a reply to no request: {document!r:.500}"
            self.notifications.append(document)
        return self.notifications

    def close(self) -> None:
        """Close the socket with the closing handshake."""
        self._closing.close()


def _offered(subprotocol: str | Sequence[str] | None) -> list[Subprotocol] | None:
    if subprotocol is None:
        return None
    names = [subprotocol] if isinstance(subprotocol, str) else subprotocol
    return [Subprotocol(name) for name in names]


def _with_tls_1_2(tls: ssl.SSLContext) -> ssl.SSLContext:
    """The same trust, without TLS 1.3.

    websockets reads in a thread of its own. When a server's tickets, which follow a handshake of TLS 1.3,
    come in while another thread writes the first request, OpenSSL can lose that request.
    """
    older = ssl.create_default_context(cadata=b"".join(tls.get_ca_certs(binary_form=True)))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    return older


def is_reply(document: Any) -> bool:
    """Whether a frame answers a request; notifications and events carry no `headers`."""
    return isinstance(document, dict) and isinstance(document.get("headers"), dict)


def encode(document: Any, form: Form) -> str | bytes:
    """A document as a frame: text for JSON, bytes for MessagePack."""
    return json.dumps(document) if form == "json" else msgpack.packb(document)


def decode(frame: str | bytes) -> Any:
    """The document in a frame."""
    return msgpack.unpackb(frame) if isinstance(frame, bytes) else json.loads(frame)
