"""Keeps one connection open: connects, authenticates, and connects again."""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from zaqar_gateway_client.backoff import Backoff, wait_after_close
from zaqar_gateway_client.codec import Form
from zaqar_gateway_client.errors import (
    ConnectFailed,
    ConnectionLost,
    GatewayError,
    NotAuthenticated,
    RequestFailed,
)
from zaqar_gateway_client.outbox import MAX_BYTES, MAX_MESSAGES
from zaqar_gateway_client.positions import Positions
from zaqar_gateway_client.socket import Heard, Socket, open_socket

GetToken = Callable[[], str | Awaitable[str]]
"""Answers a token that is valid now. Called for each connection, and when a token is about to expire."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds that TCP, TLS and the WebSocket handshake may take together, before another attempt is made."""

_log = logging.getLogger("zaqar_gateway_client")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `connect` was told; see there."""

    url: str
    project: str
    get_token: GetToken | None = None
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    form: Form = "json"
    timeout: float = 30.0
    heartbeat: float = 20.0
    positions: Positions | None = None
    extension: bool = True
    outbox_messages: int = MAX_MESSAGES
    outbox_bytes: int = MAX_BYTES
    tls: ssl.SSLContext | None = None


class Link:
    """The connection.

    :ivar limits: what the gateway told of its own; empty without the extension.
    :ivar connections: how many were opened so far.
    """

    def __init__(self, options: Options, heard: Heard) -> None:
        self.options = options
        self.limits: Mapping[str, Any] = {}
        self.connections = 0
        self.socket: Socket | None = None
        """The open one, or None."""
        self.refusal = "there was no answer"
        """Why connecting failed last."""
        self._headers = {"Client-ID": options.client_id, "X-Project-ID": options.project}
        self._heard = heard
        self._open = asyncio.Event()
        self._ended: GatewayError | None = None
        self._told: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self) -> Socket:
        """The open socket, when there is one. Raises what ended the link."""
        while True:
            if self._ended is not None:
                raise self._ended.with_traceback(None)
            if self.socket is not None:
                return self.socket
            await self._open.wait()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with the link at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end(self, error: GatewayError) -> None:
        """There will be no connection any more: who waits for one gets `error`. The first call counts."""
        if self._ended is None:
            self._ended = error
        self._open.set()

    async def close(self, error: GatewayError) -> None:
        """End, say goodbye, and stop all tasks."""
        self.end(error)
        try:
            if self.socket is not None:
                await self.socket.close()
        finally:
            tasks = [task for task in self._tasks if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Connect, and again whenever the connection breaks."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits for a connection has to be told
            failure = ConnectFailed(f"cannot connect to {self.options.url}: {error!r}")
            failure.__cause__ = error
            self.end(failure)

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                socket = await self._connect()
            except ConnectFailed as error:
                return self.end(error)
            except (OSError, TimeoutError, WebSocketException, ConnectionLost, RequestFailed) as error:
                self.refusal = str(error) or type(error).__name__
                if not self.connections and _is_final(error):
                    return self.end(_connect_failure(self.options.url, error))
                wait = backoff.next()
                _log.info("cannot connect to %s: %s; again in %.1f s", self.options.url, self.refusal, wait)
            else:
                backoff.reset()
                self.connections += 1
                self._told = None
                await socket.closed.wait()
                if self._ended is not None:
                    return
                try:
                    wait = self._wait_after(socket, backoff)
                except ConnectFailed as error:
                    return self.end(error)
                _log.info("the connection closed (%s); again in %.1f s", socket.close_code or "broken", wait)
            await asyncio.sleep(wait)

    def _wait_after(self, socket: Socket, backoff: Backoff) -> float:
        """Seconds to wait after this socket has closed. Raises `ConnectFailed`: for ever."""
        lived = asyncio.get_running_loop().time() - socket.opened_at
        renewable = self.options.get_token is not None
        wait = wait_after_close(socket.close_code, lived, self._told, renewable, backoff)
        if wait is None:
            text = f"the gateway closed the connection for good: {socket.close_code} {socket.close_reason}"
            raise ConnectFailed(text.rstrip())
        return wait

    async def _connect(self) -> Socket:
        """Open a socket and make it ready. It is this gateway's socket when this returns."""
        options = self.options

        def make(connection: ClientConnection) -> Socket:
            return Socket(connection, self._headers, options.form, options.heartbeat, self._take, self._lost)

        async with asyncio.timeout(options.timeout):
            socket = await open_socket(
                options.url,
                extension=options.extension,
                timeout=min(options.timeout, HANDSHAKE_TIMEOUT),
                tls=options.tls,
                make=make,
            )
            try:
                if options.get_token is not None:
                    await self._authenticate(socket)
                if socket.extended:
                    self.limits = (await socket.request("describe")).done()["limits"]
                    socket.max_frame_bytes = self.limits.get("max_frame_bytes")
            except ConnectionLost:
                self._wait_after(socket, Backoff())  # raises if it is for good
                raise
            except BaseException:
                socket.abort()
                raise
        if socket.closed.is_set():
            raise ConnectionLost("the connection broke", sent=False)
        self.socket = socket
        self._open.set()
        return socket

    async def _authenticate(self, socket: Socket) -> None:
        assert self.options.get_token is not None
        try:
            token = self.options.get_token()
            if inspect.isawaitable(token):
                token = await token
        except Exception as error:  # the application's; it may raise anything
            raise NotAuthenticated("authenticate", 401, "", f"get_token failed: {error!r}") from error
        (await socket.request("authenticate", headers={"X-Auth-Token": token})).done()

    async def _renew_token(self, socket: Socket) -> None:
        """Authenticate on the open socket, until that is done or the socket ends."""
        backoff = Backoff()
        while not socket.closed.is_set():
            try:
                async with asyncio.timeout(self.options.timeout):
                    return await self._authenticate(socket)
            except ConnectionLost:
                return
            except (RequestFailed, TimeoutError) as error:
                _log.warning("the token could not be renewed: %s", error)
                await asyncio.sleep(backoff.next())

    def _lost(self, socket: Socket) -> None:
        if socket is self.socket:
            self.socket = None
            if self._ended is None:
                self._open.clear()

    def _take(self, socket: Socket, frame: dict[str, Any], size: int) -> None:
        event = frame.get("event")
        if event == "draining":
            self._told = frame["reconnect_after_ms"] / 1000
        elif event == "token_expiring":
            if self.options.get_token is not None:
                self.spawn(self._renew_token(socket))
        else:
            self._heard(socket, frame, size)


def _is_final(error: Exception) -> bool:
    """Whether trying again unchanged is in vain: the address, the handshake or the token is refused."""
    if isinstance(error, InvalidStatus):
        return 400 <= error.response.status_code < 500 and error.response.status_code not in (408, 429)
    return isinstance(error, InvalidURI | NotAuthenticated)


def _connect_failure(url: str, error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, InvalidStatus):
        said = error.response.body[:200].decode(errors="replace").strip() if error.response.body else ""
        return ConnectFailed(
            f"{url} refused the connection: HTTP {error.response.status_code} {said}".rstrip()
        )
    assert isinstance(error, InvalidHandshake | InvalidURI)
    return ConnectFailed(f"cannot connect to {url}: {error}")
