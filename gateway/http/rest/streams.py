"""The event streams of a node: `GET /v2/queues/{queue_name}/events` (docs/events.md)."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.actions.call import Call, Node
from gateway.actions.messages import missing_queue
from gateway.actions.subscriptions import open_stream
from gateway.auth.identity import Identity
from gateway.http.rest.client import RestClient
from gateway.http.rest.exchange import COME_BACK, Exchange
from gateway.http.rest.stream import EventStream
from gateway.push.frames import STREAMED, notice
from protocol.errors import TooManySockets, Unavailable
from protocol.event_stream import place
from protocol.incoming import Incoming
from schemas.events import StreamGapEvent
from storage.errors import NoQueue
from storage.records import Gap


class Streams:
    """Opens event streams, and knows those that are open. Each counts as a socket."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: set[EventStream] = set()

    async def answer(
        self,
        exchange: Exchange,
        identity: Identity | None,
        until: float | None,
        incoming: Incoming,
        signed_until: Callable[[], float | None],
    ) -> None:
        """Answer a request that may be done with a stream of events, which goes on after this returns.

        :param identity: whom the token of the request speaks for, if there is one.
        :param until: when the signature of the request expires, if that permits it.
        :param signed_until: tells that anew; None: the key that has signed was taken away.

        Raises TooManySockets, NotFound, and what `subscription_create` raises; then nothing is answered.
        """
        node = self._node
        if node.draining:
            raise Unavailable("The gateway is about to stop. Come back.")
        if exchange.method == "HEAD":
            await self._answer_head(exchange, Call(node, RestClient(identity, node.authorisation), incoming))
            return
        stream = self._enter(exchange)
        exchange.when_left(stream.close)
        try:
            call = Call(node, stream, incoming)
            if node.authenticator is not None:
                stream.authenticate(node.authenticator, identity, call.project, until, signed_until)
            position, gap = await open_stream(call)
        except BaseException:
            stream.close()
            raise
        exchange.begin_stream()
        if not exchange.left:
            stream.begin(_head(call.body.queue_name, position, gap))

    async def _answer_head(self, exchange: Exchange, call: Call) -> None:
        try:
            await self._node.router.find(call.project, call.body.queue_name)
        except NoQueue:
            raise missing_queue(call) from None
        exchange.begin_stream()
        if not exchange.left:
            request: Any = exchange.request
            request.finish()

    def drain(self) -> None:
        """End all of them: the node stops."""
        for stream in list(self._open):
            stream.drain()

    def _enter(self, exchange: Exchange) -> EventStream:
        """A new stream, which is counted until it closes. TooManySockets."""
        node, counts = self._node, self._node.open_sockets
        peer = getattr(exchange.request.getClientAddress(), "host", "")
        address = node.access.client_address(peer, exchange.headers)
        refused = counts.enter(address)
        if refused is not None:
            error = TooManySockets(refused.reason)
            error.limit = refused.limit
            raise error
        stream = EventStream(node, exchange.request, partial(self._closed, address))
        self._open.add(stream)
        counts.opened()
        node.metrics.streams.inc()
        return stream

    def _closed(self, address: str, stream: EventStream) -> None:
        self._open.discard(stream)
        self._node.open_sockets.closed()
        self._node.open_sockets.leave(address)
        self._node.metrics.streams.dec()


def _head(queue_name: str, position: int | None, gap: Gap | None) -> bytes:
    """The first events of a stream: where it begins, and what it misses."""
    told = place(position, random.randrange(COME_BACK, 2 * COME_BACK))
    if gap is not None:
        reason: Any = gap.reason  # the store tells no other than the schema has
        event = StreamGapEvent(queue_name=queue_name, after=str(gap.start), to=str(gap.end), reason=reason)
        told += notice(event, STREAMED)
    return told
