"""Work that is pushed: leases, renewal and acknowledgement (docs/streaming-claims.md)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from zaqar_gateway_client.backoff import Backoff
from zaqar_gateway_client.errors import (
    CallTimeout,
    ConnectionLost,
    Ended,
    GatewayError,
    NotFound,
    RequestFailed,
    Unavailable,
)
from zaqar_gateway_client.jobs import Job, Jobs
from zaqar_gateway_client.records import Message
from zaqar_gateway_client.socket import Reply, Socket

if TYPE_CHECKING:
    from zaqar_gateway_client.gateway import Gateway

Handler = Callable[[Message], Awaitable[None]]
"""Does the work. The message is deleted when it returns, and given back when it raises."""

RENEWALS: Final = 3
"""How often leases are renewed within their ttl."""

_log = logging.getLogger("zaqar_gateway_client")


class Consumer:
    """Made by `Gateway.consume`::

        async with gateway.consume("jobs", resize, concurrency=4) as consumer:
            await consumer.join()

    At least once: a message whose lease ends before it is acknowledged is handed out again. A handler that
    has lost its lease is cancelled as soon as that is known. After a cut the consumer goes on with its claim.
    """

    def __init__(
        self, gateway: Gateway, queue: str, handler: Handler, *, concurrency: int, ttl: int, grace: int
    ) -> None:
        self.queue = queue
        self.claim_id = str(uuid.uuid4())
        self.done = 0
        """Messages that were acknowledged."""
        self.failed = 0
        """How often a handler raised."""
        self.lost = 0
        """Leases that ended before their message was acknowledged."""
        self._gateway = gateway
        self._handler = handler
        self._terms = {"credit": concurrency, "ttl": ttl, "grace": grace}
        self._jobs = Jobs(remembered=2 * concurrency + 1000)
        self._held: int | None = None  # messages that will be pushed again, until they were
        self._again: set[str] = set()  # those that were
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None
        self._stopper: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def running(self) -> int:
        """Messages that are worked on now."""
        return len(self._jobs)

    async def start(self) -> None:
        """Have messages leased from now on. Raises why that cannot be."""
        if self._started is None:
            loop = asyncio.get_running_loop()
            self._started, self._ended = loop.create_future(), loop.create_future()
            self._gateway.consumers[self.claim_id] = self
            self._keeper = self._gateway.link.spawn(self._keep())
        await asyncio.shield(self._started)

    async def join(self) -> None:
        """Wait until it ends: returns after `stop`. Raises `Ended`, or what ended the gateway."""
        await self.start()
        assert self._ended is not None
        await asyncio.shield(self._ended)

    async def stop(self, wait: float = 0) -> None:
        """Take nothing more, and give back what is not done.

        Cancelled, or called again without `wait`, it ends all the same, and waits no longer for handlers. A
        handler that calls it is not waited for here: this returns at once.

        :param wait: seconds that running handlers have to finish; then they are cancelled.
        """
        stopped = self.leave(wait)
        if stopped is None or self._jobs.has_task(asyncio.current_task()):
            return
        try:
            await asyncio.wait((stopped,))
        except asyncio.CancelledError:
            self._jobs.drop_unsettled(self._jobs.ids())
            raise

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- the gateway's side ---

    def leave(self, wait: float = 0) -> asyncio.Task[None] | None:
        """Begin to stop, as `stop` says. Returns what ends when it has stopped; None: it was not started."""
        if self._keeper is None:
            return None
        if self._stopper is None:
            self._stopping = True
            self._stopper = self._gateway.link.spawn(self._stop(wait))
            self._stopper.add_done_callback(self._stopped)
        elif wait == 0:
            self._jobs.drop_unsettled(self._jobs.ids())
        return self._stopper

    async def _stop(self, wait: float) -> None:
        assert self._keeper is not None
        await self._jobs.finish(wait)
        self._keeper.cancel()
        await asyncio.wait((self._keeper,))
        socket = self._gateway.link.socket
        if socket is not None:
            # Otherwise the gateway gives back what a closed socket held.
            await self._gateway.take_back(socket, "claim_unsubscribe", self._named())

    def _stopped(self, _: asyncio.Task[None]) -> None:
        """It has stopped, or was cut short by the end of the connection."""
        self._jobs.drop()
        del self._gateway.consumers[self.claim_id]
        self._finish(None)

    def heard(self, frame: dict[str, Any]) -> None:
        """An event of the claim, from the socket's reader."""
        if frame["event"] == "claim_ended":
            reason = frame["reason"]
            self._finish(Ended(f"the consumer of {self.queue} has ended: {reason}", reason))
            self._jobs.drop_unsettled(self._jobs.ids())
            return
        for told in frame["messages"]:
            message = Message.read(self.queue, told)
            if self._held is not None:
                self._again.add(message.id)
            if not self._stopping:
                self._jobs.offer(message, self._work)
        self._look_for_lost()

    def _leasing(self, reply: Reply) -> None:
        """The answer to `claim_subscribe`, before anything behind it."""
        if reply.status == 201:
            self._held, self._again = reply.body["held"], set()
            self._look_for_lost()

    def _look_for_lost(self) -> None:
        """When all that the claim holds was pushed again, work on anything else has lost its lease."""
        if self._held is not None and len(self._again) >= self._held:
            self.lost += self._jobs.drop_unsettled(self._jobs.ids() - self._again)
            self._held = None

    def _finish(self, error: GatewayError | None) -> None:
        for future in (self._started, self._ended):
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # nobody need wait for it

    def _named(self) -> dict[str, Any]:
        return {"queue_name": self.queue, "claim_id": self.claim_id}

    async def _keep(self) -> None:
        """Consume on each new socket, and renew the leases; until stopped or ended."""
        assert self._started is not None and self._ended is not None
        backoff = Backoff()
        while not self._ended.done():
            try:
                socket = await self._gateway.extended_socket("consume")
            except GatewayError as error:
                return self._finish(error)
            try:
                body = {**self._named(), **self._terms}
                (await self._gateway.ask(socket, "claim_subscribe", body, self._leasing)).done()
                if not self._started.done():
                    self._started.set_result(None)
                backoff.reset()
                await self._renew_until_closed(socket)
            except ConnectionLost:
                await socket.closed.wait()
            except CallTimeout:
                socket.abort()
                await socket.closed.wait()
            except Unavailable:
                await asyncio.sleep(backoff.next())
            except GatewayError as error:
                return self._finish(error)

    async def _renew_until_closed(self, socket: Socket) -> None:
        while True:
            try:
                async with asyncio.timeout(self._terms["ttl"] / RENEWALS):
                    await socket.closed.wait()
                return
            except TimeoutError:
                pass
            working = self._jobs.ids()
            if not working:
                continue
            try:
                body = {**self._named(), "ttl": self._terms["ttl"], "grace": self._terms["grace"]}
                (await self._gateway.ask(socket, "claim_update", body)).done()
            except NotFound:
                self.lost += self._jobs.drop_unsettled(working)
            except Unavailable as error:  # the next renewal may still come in time
                _log.warning("the leases of %s were not renewed: %s", self.queue, error)

    # --- one message ---

    async def _work(self, job: Job) -> None:
        message = job.message
        try:
            await self._handler(message)
        except asyncio.CancelledError:
            if job.dropped:
                raise
            await self._give_back(job)  # it cancelled itself
        except Exception:  # noqa: BLE001 - the application's; it must not stop the other handlers
            _log.exception("the handler of %s raised on message %s", self.queue, message.id)
            await self._give_back(job)
        else:
            await self._acknowledge(job)

    async def _acknowledge(self, job: Job) -> None:
        job.settling = True
        body = {**self._named(), "message_id": job.message.id}
        backoff = Backoff()
        while True:
            try:
                await self._gateway.call("message_delete", body)
            except (Unavailable, CallTimeout):
                await asyncio.sleep(backoff.next())
                continue
            except RequestFailed as error:  # somebody else has it, or had it
                self.lost += 1
                _log.warning("message %s was done, but its lease had ended: %s", job.message.id, error)
            except GatewayError:
                return  # there will be no connection any more; its end has been told
            else:
                self.done += 1
            job.settled = True
            return

    async def _give_back(self, job: Job) -> None:
        """After a while, which grows with each time that the message was handed out."""
        self.failed += 1
        pause = Backoff()
        for _ in range(1, min(job.message.claim_count, 8)):
            pause.next()
        await asyncio.sleep(pause.next())
        job.settling = True
        body = {**self._named(), "message_ids": [job.message.id]}
        backoff = Backoff()
        while True:
            try:
                await self._gateway.call("message_release", body, repeat=False)
            except Unavailable:
                await asyncio.sleep(backoff.next())
                continue
            except RequestFailed as error:
                _log.warning("message %s could not be given back: %s", job.message.id, error)
            except GatewayError:
                return  # if the claim still holds it, it is pushed again
            job.settled = True
            return
