"""Posts that are not known to be stored yet. They are sent again after a cut, and stored once.

Each message has a `dedup_id`, by which the gateway recognises a repeat for `dedup_window` seconds
(docs/extension.md, Posts that may be repeated).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from zaqar_gateway_client.backoff import FRAME_TOO_LARGE, Backoff
from zaqar_gateway_client.errors import (
    BadRequest,
    Closed,
    ConnectionLost,
    GatewayError,
    OutboxFull,
    RequestFailed,
    Unavailable,
)
from zaqar_gateway_client.socket import Reply, Socket

MAX_MESSAGES: Final = 10_000
MAX_BYTES: Final = 16_777_216
"""What may wait by default, over all queues."""

IN_FLIGHT: Final = 32
"""Posts that are sent before the first is answered: half of what a gateway reads ahead by default."""


class Connecting(Protocol):
    """What an outbox needs of the gateway."""

    async def connected(self) -> Socket:
        """The open socket, when there is one. Raises `GatewayError` if there will be none."""


@dataclass(slots=True, eq=False)
class Post:
    """One request that waits to be answered."""

    queue: str
    messages: list[dict[str, Any]]
    size: int
    done: asyncio.Future[list[str]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    sent: bool = False
    """Whether it has left once: then it may be stored."""
    refusal: RequestFailed | None = None
    """Why it was refused last, if that may pass."""


class Outbox:
    """Sends posts in their order, one socket after the other.

    :param max_messages: how many messages may wait, over all queues.
    :param max_bytes: how large they may be together, as JSON or MessagePack.
    """

    def __init__(
        self, connecting: Connecting, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES
    ) -> None:
        self._connecting = connecting
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._posts: dict[int, Post] = {}
        self._numbers = itertools.count()
        self._unsent: deque[int] = deque()
        self._socket: Socket | None = None
        self._in_flight: set[Post] = set()
        self._refused = False
        self._backoff = Backoff()
        self._ended: GatewayError | None = None
        self._news = asyncio.Event()
        self.messages = 0
        """How many wait."""
        self.bytes = 0
        """How large they are together."""

    def add(self, queue: str, messages: list[dict[str, Any]], size: int) -> Post:
        """Have a post sent. Its future gets the messages' ids, or the refusal.

        Raises `OutboxFull`; and what ended the connection, if there will be none any more. When the future is
        cancelled, the post is not sent (again).
        """
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if self.messages + len(messages) > self._max_messages or self.bytes + size > self._max_bytes:
            raise OutboxFull(f"{self.messages} messages of {self.bytes} bytes wait to be stored already")
        post = Post(queue, messages, size)
        number = next(self._numbers)
        self._posts[number] = post
        self._unsent.append(number)
        self.messages += len(messages)
        self.bytes += size
        post.done.add_done_callback(lambda _: self._remove(number, post))
        self._news.set()
        return post

    def _remove(self, number: int, post: Post) -> None:
        del self._posts[number]
        self.messages -= len(post.messages)
        self.bytes -= post.size

    async def run(self) -> None:
        """Send what is added, until cancelled or until there will be no connection."""
        try:
            while True:
                socket = await self._connecting.connected()
                self._unsent = deque(self._posts)
                self._socket = socket
                self._in_flight = set()
                self._refused = False
                try:
                    await self._flush(socket)
                except ConnectionLost:
                    self._backoff.reset()
                    await socket.closed.wait()  # it may be closing still
                    if socket.close_code == FRAME_TOO_LARGE:
                        self._refuse_largest()
                except Unavailable:
                    await asyncio.sleep(self._backoff.next())
        except GatewayError as error:
            self._fail(error)
        except asyncio.CancelledError:
            self._fail(Closed("the gateway was closed"))
            raise

    def _fail(self, error: GatewayError) -> None:
        self._ended = error
        for post in list(self._posts.values()):
            if not post.done.done():
                post.done.set_exception(error)

    async def _flush(self, socket: Socket) -> None:
        """Send on this socket until it breaks, or the gateway refuses and all that was sent is answered."""
        ended = asyncio.ensure_future(socket.closed.wait())
        ended.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                while self._unsent and len(self._in_flight) < IN_FLIGHT and not self._refused:
                    post = self._posts.get(self._unsent.popleft())
                    if post is not None and not post.done.done():
                        await self._send(socket, post)
                if socket.closed.is_set():
                    raise ConnectionLost("the connection broke", sent=True)
                if self._refused and not self._in_flight:
                    raise Unavailable("message_post", 503, "", "the posts have to be repeated")
                await self._news.wait()
        finally:
            ended.cancel()

    def _refuse_largest(self) -> None:
        """A frame was larger than the server takes, and its limit was not known: it is not sent again."""
        unanswered = [post for post in self._in_flight if not post.done.done()]
        if unanswered:
            largest = max(unanswered, key=lambda post: post.size)
            text = f"the request, of some {largest.size} bytes, is larger than the server takes"
            largest.done.set_exception(BadRequest("message_post", 400, "frame_too_large", text))

    async def _send(self, socket: Socket, post: Post) -> None:
        body = {"queue_name": post.queue, "messages": post.messages}
        try:
            answer = await socket.send("message_post", body)
        except (RequestFailed, ValueError, TypeError) as error:  # it cannot be sent at all
            if not post.done.done():
                post.done.set_exception(error)
            return
        except ConnectionLost as error:
            post.sent = post.sent or error.sent
            raise
        post.sent = True
        self._in_flight.add(post)
        answer.add_done_callback(lambda answered: self._answered(socket, post, answered))

    def _answered(self, socket: Socket, post: Post, answer: asyncio.Future[Reply]) -> None:
        self._news.set()
        if answer.cancelled() or answer.exception() is not None:  # the socket broke: another one sends it
            return
        if socket is self._socket:
            self._in_flight.discard(post)
        if post.done.done():
            return
        try:
            post.done.set_result(answer.result().done()["message_ids"])
            self._backoff.reset()
        except Unavailable as refusal:
            post.refusal = refusal
            self._refused = True
        except RequestFailed as refusal:
            post.done.set_exception(refusal)
