"""One WebSocket connection: requests and their replies, what is pushed, and whether it is alive."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.typing import Subprotocol

from zaqar_gateway_client.codec import Form, FrameError, decode, encode
from zaqar_gateway_client.errors import BadRequest, ConnectionLost, failure_of

SUBPROTOCOL: Final = Subprotocol("zaqar-gateway.v1")
"""What makes a socket an extended one (docs/extension.md)."""

REQUEST_ID: Final = "X-Request-ID"
"""The header by which replies are told apart where the server has no request ids: it repeats the headers."""

MAX_INCOMING: Final = 33_554_432
"""Bytes of the largest frame that is taken: 20 messages of the largest size, however they are escaped."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that the server has to answer a close frame."""

_log = logging.getLogger("zaqar_gateway_client")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request."""

    action: str
    status: int
    body: Any

    def done(self) -> Any:
        """The body. Raises the `RequestFailed` for the status if the request was refused."""
        if self.status >= 300:
            raise failure_of(self.action, self.status, self.body)
        return self.body


Heard = Callable[["Socket", dict[str, Any], int], None]
"""Is called with each frame that is no reply, and its size in bytes. Must return at once."""

OnReply = Callable[[Reply], None]
"""Is called with a reply before any frame behind it is looked at. Must return at once."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    action: str
    answer: asyncio.Future[Reply]
    on_reply: OnReply | None


class Socket:
    """An open connection. Made by `open_socket`; it closes by itself when the server is silent."""

    def __init__(
        self,
        connection: ClientConnection,
        headers: Mapping[str, str],
        form: Form,
        heartbeat: float,
        heard: Heard,
        lost: Callable[[Socket], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.extended = connection.subprotocol == SUBPROTOCOL
        self.opened_at = loop.time()
        self.max_frame_bytes: int | None = None
        """The largest frame that the server takes, once it is known."""
        self.closed = asyncio.Event()
        self._connection = connection
        self._headers = headers
        self._form = form
        self._heartbeat = heartbeat
        self._heard = heard
        self._lost = lost
        self._heard_at = loop.time()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._reader = loop.create_task(self._read())
        self._watcher = loop.create_task(self._watch())

    @property
    def close_code(self) -> int | None:
        """The server's close code; None if the connection broke without one."""
        code = self._connection.close_code
        return None if code == 1006 else code

    @property
    def close_reason(self) -> str:
        """What the server said with the close code, or an empty text."""
        return self._connection.close_reason or ""

    async def send(
        self,
        action: str,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        on_reply: OnReply | None = None,
    ) -> asyncio.Future[Reply]:
        """Send a request; requests go out in the order of the calls. The future gets the reply.

        Raises `ConnectionLost`, here or from the future; `BadRequest` for a frame that the server would not
        take; `ValueError` or `TypeError` for a body that cannot be told in the socket's form.
        """
        number = next(self._numbers)
        told: dict[str, Any] = {
            "action": action,
            "headers": {**self._headers, **(headers or {})},
            "body": body,
        }
        if self.extended:
            told |= {"id": number, "echo": False}
        else:
            told["headers"][REQUEST_ID] = str(number)
        encoded = encode(told, self._form)
        frame = encoded.encode() if isinstance(encoded, str) else encoded
        if self.max_frame_bytes is not None and len(frame) > self.max_frame_bytes:
            text = f"the request has {len(frame)} bytes, and the server takes {self.max_frame_bytes}"
            raise BadRequest(action, 400, "frame_too_large", text)
        if self._connection.state is not State.OPEN or self.closed.is_set():
            raise ConnectionLost("the connection is closed", sent=False)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Waiting(action, answer, on_reply)
        # Whoever stops waiting for the answer need not be known any more.
        answer.add_done_callback(lambda _: self._waiting.pop(number, None))
        try:
            await self._connection.send(frame, text=self._form == "json")
        except ConnectionClosed:
            answer.cancel()
            raise ConnectionLost(f"the connection broke while {action} was sent", sent=True) from None
        except asyncio.CancelledError:
            answer.cancel()
            raise
        return answer

    async def request(
        self,
        action: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        on_reply: OnReply | None = None,
    ) -> Reply:
        """Send a request and wait for its reply, whatever its status. Raises as `send`."""
        return await (await self.send(action, body or {}, headers=headers, on_reply=on_reply))

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._connection.transport.abort()

    async def close(self) -> None:
        """Say goodbye, for at most `CLOSE_TIMEOUT` seconds, and end."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except TimeoutError:
            pass
        finally:
            self.abort()
        await asyncio.wait((self._reader,))

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._connection.recv()
                self._heard_at = asyncio.get_running_loop().time()
                self._take(decode(frame), len(frame))
        except ConnectionClosed:
            pass
        except FrameError as error:
            _log.error("%s", error)
        finally:
            self._watcher.cancel()
            self.abort()
            self.closed.set()
            for waiting in list(self._waiting.values()):
                if not waiting.answer.done():
                    text = f"the connection broke before the answer to {waiting.action} came"
                    waiting.answer.set_exception(ConnectionLost(text, sent=True))
            self._lost(self)

    def _take(self, document: dict[str, Any], size: int) -> None:
        headers = document.get("headers")
        if not isinstance(headers, dict):
            self._guard(lambda: self._heard(self, document, size))
            return
        waiting = self._whose(document)
        if waiting is None or waiting.answer.done():  # nobody waits for it any more
            return
        reply = Reply(waiting.action, int(headers.get("status", 500)), document.get("body"))
        if waiting.on_reply is not None:
            on_reply = waiting.on_reply
            self._guard(lambda: on_reply(reply))
        waiting.answer.set_result(reply)

    def _whose(self, document: dict[str, Any]) -> _Waiting | None:
        """Who waits for this reply. Without anything to tell by, the first: they come in order."""
        if self.extended:
            number = document.get("id")
            return self._waiting.get(number) if isinstance(number, int) else None
        request = document.get("request")
        echoed = (request.get("headers") or {}).get(REQUEST_ID) if isinstance(request, dict) else None
        if isinstance(echoed, str) and echoed.isdecimal():
            return self._waiting.get(int(echoed))
        return next(iter(self._waiting.values()), None)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - a frame that one reader cannot use must not stop the others
            _log.exception("a frame could not be used")

    async def _watch(self) -> None:
        """Ping now and then, whatever else is heard: what comes does not say that anything arrives."""
        loop = asyncio.get_running_loop()
        pong: asyncio.Future[None] | None = None
        try:
            while True:
                await asyncio.sleep(self._heartbeat)
                asked_at = loop.time()
                pong = asyncio.ensure_future(self._ping())
                while not (await asyncio.wait((pong,), timeout=self._heartbeat))[0]:
                    now = loop.time()
                    # A pong may stand behind much that is on its way, but not for ever.
                    silent = now - self._heard_at >= self._heartbeat
                    if silent or now - asked_at >= 3 * self._heartbeat:
                        _log.info(
                            "no sign of life for %.1f s: the connection is given up", now - self._heard_at
                        )
                        self.abort()
                        return
                pong.result()
        except ConnectionClosed:
            pass
        finally:
            if pong is not None:
                pong.cancel()
                await asyncio.gather(pong, return_exceptions=True)

    async def _ping(self) -> None:
        await (await self._connection.ping())


async def open_socket(
    url: str,
    *,
    extension: bool,
    timeout: float,
    tls: ssl.SSLContext | None,
    make: Callable[[ClientConnection], Socket],
) -> Socket:
    """Connect.

    :param extension: whether to offer the subprotocol. The server need not agree.
    :param timeout: seconds for TCP, TLS and the handshake together.
    :raises OSError, TimeoutError, websockets.exceptions.WebSocketException: it did not come about.
    """
    options: dict[str, Any] = {} if tls is None else {"ssl": tls}
    connection = await open_websocket(
        url,
        subprotocols=[SUBPROTOCOL] if extension else None,
        compression=None,
        open_timeout=timeout,
        ping_interval=None,  # Socket pings itself, and drops at once what is dead
        close_timeout=CLOSE_TIMEOUT,
        max_size=MAX_INCOMING,
        **options,
    )
    return make(connection)
