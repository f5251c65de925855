"""Messages of a queue as they come, each once and in order, across cuts (docs/extension.md, Resume)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from zaqar_gateway_client.backoff import Backoff
from zaqar_gateway_client.errors import (
    CallTimeout,
    Conflict,
    ConnectionLost,
    Ended,
    ExtensionNeeded,
    GatewayError,
    Unavailable,
)
from zaqar_gateway_client.records import Gap, Message, Resumed
from zaqar_gateway_client.socket import Reply, Socket

if TYPE_CHECKING:
    from zaqar_gateway_client.gateway import Gateway

NO_END: Final = 315_360_000
"""Seconds (ten years): the ttl where a subscription does not live as long as its socket by itself."""

Item = Message | Resumed | Gap


class Subscription:
    """Made by `Gateway.subscribe`; begins when it is entered or first iterated::

        async with gateway.subscribe("news", from_="earliest") as news:
            async for message in news:
                print(message.body)

    Past its bounds it stops listening until half is read, then goes on where it stopped. Without the
    extension there is no position to go on from: cuts lose messages, and past its bounds it ends.
    """

    def __init__(
        self, gateway: Gateway, queue: str, from_: str, key: str, max_messages: int, max_bytes: int
    ) -> None:
        self.queue = queue
        self.position: str | None = None
        """How far the application has come: that of the message that it got last."""
        self.recovered = True
        """Whether nothing was missing when it was resumed last."""
        self.gap: Gap | None = None
        """What was missing last, or None."""
        self._gateway = gateway
        self._from = from_
        self._key = key
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._tail: str | None = None  # the position behind which the next item is to come
        self._unsaved: str | None = None
        self._id: str | None = None  # of the subscription on the present socket
        self._overflowed = False
        self._closed = False
        self._error: GatewayError | None = None
        self._news = asyncio.Event()  # for the reader
        self._work = asyncio.Event()  # for the keeper
        self._started: asyncio.Future[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[Reply] | None = None  # the answer to the last `subscription_create`
        self._leaving: asyncio.Task[None] | None = None

    # --- the application's side ---

    @property
    def waiting(self) -> int:
        """How many messages and other items were received and are not read yet."""
        return len(self._items)

    async def start(self) -> None:
        """Subscribe, if that is not done yet. Raises why it cannot be; `ValueError` if the queue has one."""
        if self._started is None:
            positions = self._gateway.options.positions
            if positions is not None:
                self._tail = await positions.load(self._key)
            if self.queue in self._gateway.subscriptions:
                raise ValueError(f"there is a subscription to {self.queue} already; close it first")
            self._gateway.subscriptions[self.queue] = self
            self._started = asyncio.get_running_loop().create_future()
            self._keeper = self._gateway.link.spawn(self._keep())
        await asyncio.shield(self._started)

    async def close(self) -> None:
        """End it. Who iterates comes to an end. If this is cancelled, it is ended all the same."""
        if self._keeper is None:
            return
        if self._leaving is None:
            self._closed = True
            self._items.clear()
            self._bytes = 0
            self.end(None)
            self._keeper.cancel()
            self._leaving = self._gateway.link.spawn(self._leave())
        await asyncio.wait((self._leaving,))

    async def _leave(self) -> None:
        """Have the gateway end it. Until then the queue has no other subscription."""
        try:
            socket = self._gateway.link.socket
            if socket is None:
                return
            try:
                if self._asking is not None and not self._asking.done():
                    await self._asking
                if self._id is not None:
                    body = {"queue_name": self.queue, "subscription_id": self._id}
                    self._id = None
                    await self._gateway.take_back(socket, "subscription_delete", body)
            except (ConnectionLost, CallTimeout):
                socket.abort()  # it ends with its socket
        finally:
            del self._gateway.subscriptions[self.queue]

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Message]:
        async for item in self.events():
            if isinstance(item, Message):
                yield item

    async def events(self) -> AsyncIterator[Item]:
        """The messages, and between them what is to be known: `Resumed` at each beginning, and `Gap`.

        Raises `Ended` when the server has ended it, and what ended the gateway. A position is saved when the
        next item is asked for, so what the application had not finished comes again after a restart.
        """
        await self.start()
        while True:
            await self._save()
            if not self._items:
                if self._error is not None:
                    raise self._error.with_traceback(None)
                if self._closed:
                    return
                self._news.clear()
                await self._news.wait()
                continue
            item, size = self._items.popleft()
            self._bytes -= size
            if self._overflowed and self._has_room():
                self._work.set()
            if isinstance(item, Message):
                self.position = self._unsaved = item.position or None
            elif isinstance(item, Resumed):
                self.recovered, self.gap = item.recovered, item.gap
            else:
                self.recovered, self.gap = False, item
            yield item

    async def _save(self) -> None:
        positions = self._gateway.options.positions
        if positions is not None and self._unsaved is not None:
            await positions.save(self._key, self._unsaved)
            self._unsaved = None

    def _has_room(self) -> bool:
        return len(self._items) <= self._max_messages // 2 and self._bytes <= self._max_bytes // 2

    # --- the gateway's side ---

    def heard(self, frame: dict[str, Any], size: int) -> None:
        """A notification or an event of this queue, from the socket's reader."""
        event = frame.get("event")
        if event is None:
            self._message(frame, size)
        elif event == "gap":
            gap = Gap.read(frame)
            self._tail = gap.start
            self._add(gap, 0)
        elif event == "subscription_ended" and frame["subscription_id"] == self._id:
            self._id = None
            if frame["reason"] == "unknown":  # the node was cut off from its store: go on where it stopped
                self._work.set()
            else:
                reason = frame["reason"]
                self.end(Ended(f"the subscription to {self.queue} has ended: {reason}", reason))

    def _message(self, frame: dict[str, Any], size: int) -> None:
        if self._id is None or self._overflowed or self._error is not None:
            return
        message = Message.read(self.queue, frame)
        if message.position and self._tail is not None and int(message.position) <= int(self._tail):
            return  # was here before
        full = len(self._items) >= self._max_messages or self._bytes + size > self._max_bytes
        if full and self._items:
            if not message.position:
                text = f"the messages of {self.queue} are read too slowly, and this server has no positions"
                self.end(Ended(text, "overflow"))
            self._overflowed = True
            self._work.set()
            return
        self._tail = message.position or None
        self._add(message, size)

    def _add(self, item: Item, size: int) -> None:
        self._items.append((item, size))
        self._bytes += size
        self._news.set()

    def _resumed(self, reply: Reply) -> None:
        """The answer to `subscription_create`, before anything behind it."""
        if reply.status != 201:
            return
        self._id = reply.body["subscription_id"]
        if self._closed:
            return
        self._overflowed = False
        position = reply.body.get("marker")
        if position is None:
            # Nobody knows what came during a cut.
            self._add(Resumed("", self._started is not None and not self._started.done(), None), 0)
            return
        # After a failover it may be before the last message that came.
        self._tail = position
        told = reply.body.get("gap")
        gap = None if told is None else Gap.read(told)
        self._add(Resumed(position, bool(reply.body.get("recovered")), gap), 0)

    def end(self, error: GatewayError | None) -> None:
        """Nothing more comes; who waits is told `error`, or just comes to an end. The first call counts."""
        if self._error is None:
            self._error = error
        if self._started is not None and not self._started.done():
            if error is None:
                self._started.set_result(None)
            else:
                self._started.set_exception(error)
                self._started.exception()  # nobody need wait for it
        self._news.set()

    async def _keep(self) -> None:
        """Subscribe on each new socket, and again when there is room; until closed or ended."""
        assert self._started is not None
        backoff, conflicts = Backoff(), 0
        while self._error is None:
            try:
                socket = await self._gateway.link.connected()
            except GatewayError as error:
                return self.end(error)
            try:
                self._work.clear()
                await self._subscribe(socket)
                if not self._started.done():
                    self._started.set_result(None)
                backoff.reset()
                conflicts = 0
                await self._until_needed(socket)
            except ConnectionLost:
                await socket.closed.wait()
            except Unavailable:
                await asyncio.sleep(backoff.next())
            except (CallTimeout, Conflict) as error:
                # It may be subscribed all the same; what a socket has ends with it.
                conflicts += 1
                if conflicts > 1 and isinstance(error, Conflict):
                    return self.end(error)
                socket.abort()
                await socket.closed.wait()
            except GatewayError as error:
                return self.end(error)

    async def _subscribe(self, socket: Socket) -> None:
        position = self._tail or self._from
        body: dict[str, Any] = {"queue_name": self.queue}
        if socket.extended:
            body["from"] = position
        elif position == "now":
            body["ttl"] = NO_END
        else:
            raise ExtensionNeeded(f"going on behind {position} needs the subprotocol zaqar-gateway.v1")
        # Not cancelled when it is closed meanwhile: the answer tells what is to be deleted.
        ask = self._gateway.ask(socket, "subscription_create", body, self._resumed)
        self._asking = asyncio.ensure_future(ask)
        (await asyncio.shield(self._asking)).done()

    async def _until_needed(self, socket: Socket) -> None:
        """Wait until there is something to be done: the socket has closed, or there is room again."""
        closed = asyncio.ensure_future(socket.closed.wait())
        work = asyncio.ensure_future(self._work.wait())
        try:
            await asyncio.wait((closed, work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            work.cancel()
        if self._overflowed and not socket.closed.is_set():
            body = {"queue_name": self.queue, "subscription_id": self._id}
            self._id = None  # its end, which is told too, is ours
            (await self._gateway.ask(socket, "subscription_delete", body)).done()
        while self._overflowed and not self._has_room():
            self._work.clear()
            await self._work.wait()
