"""A client of Zaqar's protocol that keeps many requests on their way (protocol.md section 1)."""

from __future__ import annotations

import ssl
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, json
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.ssl import optionsForClientTLS

from gateway.bench.options import Options
from protocol.extension import SUBPROTOCOL

TIMEOUT = 30.0
"""Seconds that opening a socket, or the answer to a request, may take."""


class BenchError(Exception):
    """The load cannot go on. The message says why, in one line."""


class ReplyHeaders(Struct, frozen=True):
    status: int


class Frame(Struct, frozen=True):
    """A reply, or a notification, which has no headers."""

    body: Raw = Raw(b"null")
    headers: ReplyHeaders | UnsetType = UNSET


class Reply(Struct, frozen=True):
    """An answer: its status, and its body as JSON."""

    status: int
    body: Raw

    def told(self) -> str:
        """Status and body for a message of an error, in one line."""
        text = bytes(self.body)[:200].decode(errors="replace")
        return f"{self.status} {text}"

    def field(self, name: str) -> Any:
        """A field of the body. Raises `BenchError` if there is none, with what there is instead."""
        body = json.decode(self.body)
        if not isinstance(body, dict) or name not in body:
            raise BenchError(f"the server's answer has no {name}: {self.told()}")
        return body[name]


_decode = json.Decoder(Frame).decode


class Client(WebSocketClientProtocol):
    """One socket. `on_notification` is called with the body of each message that is pushed."""

    # Autobahn sets TCP_NODELAY before it copies the factory's options: only a class attribute counts.
    tcpNoDelay = True
    factory: ClientFactory
    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()
        self.on_notification: Callable[[Raw], None] = _ignore
        self._waiting: deque[Deferred[Reply]] = deque()
        self._lost: BenchError | None = None

    def request(self, action: str, body: dict[str, Any], **headers: str) -> Deferred[Reply]:
        """Send a request; fires with its reply, whatever its status.

        Fails with `BenchError` if the socket closes, or if nothing comes within `TIMEOUT`.
        """
        answer: Deferred[Reply] = Deferred()
        if self._lost is not None:
            answer.errback(self._lost)
            return answer
        self._waiting.append(answer)
        document = {"action": action, "headers": {**self.factory.headers, **headers}, "body": body}
        self.sendMessage(json.encode(document))
        return answer.addTimeout(TIMEOUT, self.factory.reactor, _no_answer(action))

    @property
    def extended(self) -> bool:
        """Whether the server has agreed on protocol.extension."""
        return bool(self.websocket_protocol_in_use == SUBPROTOCOL)

    async def drop(self) -> None:
        """Close without a word."""
        self.transport.abortConnection()
        await self.closed

    # For Autobahn

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            frame = _decode(payload)
        except DecodeError:
            self._lose(BenchError(f"the server sent what is no answer: {payload[:100]!r}"))
            self.transport.abortConnection()
            return
        if frame.headers is UNSET:
            self.on_notification(frame.body)
        elif self._waiting:
            self._waiting.popleft().callback(Reply(frame.headers.status, frame.body))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._lose(BenchError(f"the server closed a socket: {code or 'dropped'} {reason or ''}".rstrip()))
        self.closed.callback(None)

    def _lose(self, error: BenchError) -> None:
        self._lost = self._lost or error
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            answer.errback(self._lost)
        if not self.opened.called:
            self.opened.errback(self._lost)


class ClientFactory(WebSocketClientFactory):
    """Makes sockets to the server of the options."""

    protocol = Client  # type: ignore[assignment]  # Autobahn builds it from this class

    def __init__(self, reactor: Any, options: Options) -> None:
        # Only for what needs the extension: the other loads speak to each server alike.
        protocols = [SUBPROTOCOL] if options.load == "resume" else []
        super().__init__(url=options.url, protocols=protocols, reactor=reactor)
        self.setProtocolOptions(openHandshakeTimeout=TIMEOUT, closeHandshakeTimeout=2)
        self.headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": options.project}
        self._token = options.token
        parts = urlsplit(options.url)
        secure = parts.scheme == "wss"
        self._endpoint: Any = HostnameEndpoint(
            reactor, parts.hostname or "", parts.port or (443 if secure else 80), timeout=TIMEOUT
        )
        if secure:
            self._endpoint = wrapClientTLS(optionsForClientTLS(parts.hostname or ""), self._endpoint)

    async def connect(self) -> Client:
        """Open a socket, and authenticate if there is a token. Raises `BenchError` if the server refuses."""
        try:
            client: Client = await self._endpoint.connect(self)
            await client.opened.addTimeout(TIMEOUT, self.reactor)
        except (ConnectError, DNSLookupError, ssl.SSLError, OSError) as error:
            raise BenchError(f"cannot connect to {self.url}: {error}") from error
        if self._token is not None:
            headers = {"X-Auth-Token": self._token}
            reply = await client.request("authenticate", {}, **headers)
            if reply.status != 200:
                raise BenchError(f"the server did not accept the token: {reply.status}")
        return client


def _ignore(body: Raw) -> None:
    """Nobody is interested in this notification."""


def _no_answer(action: str) -> Callable[[Any, float], Any]:
    def late(result: Any, timeout: float) -> Any:
        result.trap(CancelledError)
        raise BenchError(f"no answer to {action} within {timeout:.0f} seconds")

    return late
