"""A gateway as the application sees it: one connection that comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from zaqar_gateway_client.backoff import FRAME_TOO_LARGE, Backoff
from zaqar_gateway_client.consumer import Consumer, Handler
from zaqar_gateway_client.errors import (
    CallTimeout,
    Closed,
    ConnectFailed,
    ConnectionLost,
    ExtensionNeeded,
    RequestFailed,
    Unavailable,
)
from zaqar_gateway_client.link import Link, Options
from zaqar_gateway_client.outbox import Outbox
from zaqar_gateway_client.queue import Queue
from zaqar_gateway_client.socket import OnReply, Reply, Socket
from zaqar_gateway_client.subscription import Subscription

DEDUP_WINDOW: Final = 600.0
"""Seconds in which a repeat is recognised, until the gateway has told its own."""


TAKE_BACK: Final = 10.0
"""Seconds that the gateway has to end a subscription or a consumer before the socket is dropped."""


class Gateway:
    """A connection to a gateway, or to another server of Zaqar's protocol. Made by `connect`.

    Calls wait while there is no connection. What does no harm when it is done twice is sent again after a
    cut; other calls fail with `ConnectionLost` if they had been sent.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.link = Link(options, self._heard)
        self.outbox = Outbox(self.link, options.outbox_messages, options.outbox_bytes)
        self.subscriptions: dict[str, Subscription] = {}
        """By queue: a socket has one for each."""
        self.consumers: dict[str, Consumer] = {}
        """By claim."""

    async def __aenter__(self) -> Self:
        self.link.spawn(self.link.run())
        try:
            async with asyncio.timeout(self.options.timeout):
                await self.link.connected()
        except TimeoutError:
            await self.close()
            raise ConnectFailed(f"cannot connect to {self.options.url}: {self.link.refusal}") from None
        except BaseException:
            await self.close()
            raise
        self.link.spawn(self.outbox.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all subscriptions and consumers, and the connection. Calls that wait fail with `Closed`.

        If this is cancelled, it waits for no handler, and ends the rest all the same.
        """
        try:
            stopping = [consumer.leave() for consumer in self.consumers.values()]
            if stopped := [task for task in stopping if task is not None]:
                await asyncio.wait(stopped)
        finally:
            closed = Closed("the gateway was closed")
            for subscription in self.subscriptions.values():
                subscription.end(closed)
            await self.link.close(closed)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self.link.socket is not None

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return self.link.connections

    @property
    def extended(self) -> bool:
        """Whether the server has agreed on the subprotocol `zaqar-gateway.v1`. False while not connected."""
        return self.link.socket is not None and self.link.socket.extended

    @property
    def limits(self) -> Mapping[str, Any]:
        """What the gateway told of its limits (docs/protocol.md, describe); empty without the extension."""
        return self.link.limits

    def queue(self, name: str) -> Queue:
        """A handle of a queue. Nothing is sent: queues are created by the first post."""
        return Queue(self, name)

    async def queues(self, *, timeout: float | None = None) -> AsyncIterator[str]:
        """The names of the project's queues, in order. `timeout` is for each page."""
        marker: str | None = None
        while True:
            body: dict[str, Any] = {"limit": 20} if marker is None else {"limit": 20, "marker": marker}
            page = await self.call("queue_list", body, timeout=timeout)
            for found in page["queues"]:
                yield found["name"]
            marker = page.get("marker")
            if marker is None or len(page["queues"]) < 20:
                return

    def subscribe(
        self,
        queue: str,
        *,
        from_: str = "now",
        position_key: str | None = None,
        max_messages: int = 1000,
        max_bytes: int = 8_388_608,
    ) -> Subscription:
        """Messages of a queue as they come, each once and in order, across cuts.

        :param from_: `"now"`, `"earliest"`, or a position to go on behind. A stored position counts more.
        :param position_key: the name of its position in `positions`; default: project and queue.
        :param max_messages: how many are held for a slow reader; with `max_bytes`, the size of their frames.
            Past either, the rest waits in the queue.
        """
        key = position_key or f"{self.options.project}/{queue}"
        return Subscription(self, queue, from_, key, max_messages, max_bytes)

    def consume(
        self, queue: str, handler: Handler, *, concurrency: int = 1, ttl: int = 60, grace: int = 60
    ) -> Consumer:
        """Work on a queue's messages: each is leased, handed to `handler`, and deleted when that returns.

        :param handler: is awaited with each message. If it raises, the message is given back after a while.
        :param concurrency: handlers that run at a time, 1 to 1000; no more messages are leased.
        :param ttl: seconds that a lease lives without this process, 60 to 43200. It is renewed by itself.
        :param grace: seconds that a message lives on behind its lease, if it would have expired.
        """
        return Consumer(self, queue, handler, concurrency=concurrency, ttl=ttl, grace=grace)

    async def ping(self, *, timeout: float | None = None) -> None:
        """Ask whether the node and its store answer."""
        await self.call("ping_node", timeout=timeout)

    async def call(
        self,
        action: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        repeat: bool = True,
        on_reply: OnReply | None = None,
    ) -> Any:
        """Send any action (docs/protocol.md) and return its reply's body.

        :param timeout: seconds to wait, for a connection too; default: that of `connect`.
        :param repeat: whether to send it again if the connection breaks: only if doing it twice does no harm.
        :raises RequestFailed: it was refused.
        :raises ConnectionLost: the connection broke, and it is not to be repeated.
        :raises CallTimeout: there was no answer in time.
        """
        seconds = self.options.timeout if timeout is None else timeout
        sent = False
        try:
            async with asyncio.timeout(seconds) as limit:
                while True:
                    socket = await self.link.connected()
                    before, sent = sent, True
                    try:
                        return (await socket.request(action, body, on_reply=on_reply)).done()
                    except ConnectionLost as error:
                        sent = before or error.sent
                        await socket.closed.wait()
                        # What is too large to be read would break the next connection too.
                        if sent and (not repeat or socket.close_code == FRAME_TOO_LARGE):
                            raise
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"{action} was not answered within {seconds:g} seconds"
            raise CallTimeout(text, outcome_unknown=sent) from None

    async def ask(
        self, socket: Socket, action: str, body: Mapping[str, Any], on_reply: OnReply | None = None
    ) -> Reply:
        """Send a request on this socket and no other, for what lives on a socket. Any reply is returned.

        Raises `ConnectionLost`, and `CallTimeout` after the timeout of `connect`.
        """
        seconds = self.options.timeout
        try:
            async with asyncio.timeout(seconds):
                return await socket.request(action, body, on_reply=on_reply)
        except TimeoutError:
            text = f"{action} was not answered within {seconds:g} seconds"
            raise CallTimeout(text, outcome_unknown=True) from None

    async def take_back(self, socket: Socket, action: str, body: Mapping[str, Any]) -> None:
        """End what lives on this socket, which would go on for nobody; if that fails, the socket with it."""
        backoff = Backoff()
        try:
            async with asyncio.timeout(TAKE_BACK):
                while True:
                    try:
                        (await self.ask(socket, action, body)).done()
                    except Unavailable:
                        await asyncio.sleep(backoff.next())
                    else:
                        return
        except (RequestFailed, ConnectionLost):
            pass  # it is not there any more
        except TimeoutError:
            socket.abort()

    async def extended_socket(self, what: str) -> Socket:
        """The open socket, when there is one. Raises `ExtensionNeeded` if it is not an extended one."""
        socket = await self.link.connected()
        if not socket.extended:
            raise ExtensionNeeded(
                f"{what} needs the subprotocol zaqar-gateway.v1, which the server does not speak"
            )
        return socket

    @property
    def dedup_window(self) -> float:
        """Seconds in which the gateway recognises a repeated post."""
        return float(self.limits.get("dedup_window", DEDUP_WINDOW))

    def _heard(self, _: Socket, frame: dict[str, Any], size: int) -> None:
        if frame.get("event") in ("claim", "claim_ended"):
            if (consumer := self.consumers.get(frame["claim_id"])) is not None:
                consumer.heard(frame)
        elif (subscription := self.subscriptions.get(frame.get("queue_name", ""))) is not None:
            subscription.heard(frame, size)
