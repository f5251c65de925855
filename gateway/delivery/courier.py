"""Delivers one queue's messages to one subscriber: one after another, in the order of the queue.

Its place in the queue and the tries of the next message are in the store, so that another node can go on. A
message that could not be delivered holds up those behind it, by the retry policy, until it is given up.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from gateway.dead_letters import deliver_claimed
from gateway.delivery.endpoints import Turn
from gateway.delivery.home import Home
from gateway.delivery.progress import RETRY, Progress
from gateway.delivery.resources import Resources
from gateway.delivery.sender import Endpoint, Notice, Result, Sender, Sent
from gateway.logs import get_logger
from protocol.errors import RequestError
from protocol.identifiers import format_id
from protocol.retry_schedule import schedule
from protocol.webhooks import notice_of
from schemas import limits
from storage.deliveries import Delivery
from storage.errors import StaleQueue
from storage.records import Message

PAGE = 10
"""Messages that are read, and sent, in one turn."""

_NOWHERE = Endpoint("", "", 0)
"""Stands for all that cannot be sent to, which is refused without a connection."""

log = get_logger(__name__)


class Courier:
    """One subscriber's deliveries. `start`, and then `stop` or `drop`, are called once."""

    def __init__(self, resources: Resources, home: Home, delivery: Delivery, sender: Sender) -> None:
        self._resources = resources
        self._home = home
        self._subscription = delivery.subscription
        self._sender = sender
        self._attempts = delivery.attempts
        self._due_at = self._now() + delivery.due_in
        self._progress = Progress(resources.reactor, home, delivery.subscription.sequence, delivery.position)
        self._woken: Deferred[None] | None = None
        self._waiting: Deferred[Any] | None = None
        """What it waits for, if waiting can be broken off without harm."""
        self._work: Deferred[None] = succeed(None)

    @property
    def sequence(self) -> int:
        """The subscription's."""
        return self._subscription.sequence

    def start(self) -> None:
        """Begin."""
        self._work = Deferred.fromCoroutine(self._run())
        self._work.addErrback(self._broke)

    def update(self, delivery: Delivery, sender: Sender) -> None:
        """The subscription as it is now: its store was asked."""
        if delivery.subscription.subscriber != self._subscription.subscriber:
            self._attempts, self._due_at = delivery.attempts, self._now() + delivery.due_in
        self._subscription, self._sender = delivery.subscription, sender
        self._progress.held_up = False
        self._progress.tell()
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        if self._woken is not None and not self._woken.called:
            self._woken.callback(None)

    def stop(self) -> Deferred[None]:
        """Finish what is being sent, and begin nothing more. Fires when the store knows of it."""
        self._progress.stopping = True
        if self._waiting is not None:
            self._waiting.cancel()
        return self._work

    def drop(self) -> Deferred[None]:
        """Break off at once: another node delivers, or nobody has to."""
        self._progress.drop()
        self._work.cancel()
        return self._work

    def _now(self) -> float:
        return float(self._resources.reactor.seconds())

    def _broke(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            log.error("delivery_broke", queue=self._home.queue.name, failure=failure.getTraceback())

    # The loop

    async def _run(self) -> None:
        progress = self._progress
        while not progress.stopping:
            seconds = self._idle_for()
            if seconds != 0.0:
                await self._rest(seconds)
                continue
            try:
                await self._take_turn()
            except StaleQueue:
                progress.stale()
            except RequestError as error:
                log.info("delivery_waits_for_store", queue=self._home.queue.name, reason=str(error))
                self._due_at = max(self._due_at, self._now() + RETRY)

    def _idle_for(self) -> float | None:
        """Seconds until there is something to do; None: until it is woken."""
        progress, home = self._progress, self._home
        if progress.held_up or not home.holds or progress.position >= home.target:
            return None
        return max(0.0, self._due_at - self._now())

    async def _rest(self, seconds: float | None) -> None:
        self._woken = Deferred()
        if seconds is not None:
            self._woken.addTimeout(seconds, self._resources.reactor, lambda *_: None)
        await self._wait(self._woken)

    async def _wait(self, waiting: Deferred[Any]) -> Any:
        """Wait for something that `stop` need not wait for."""
        self._waiting = waiting
        try:
            return await waiting
        finally:
            self._waiting = None

    async def _take_turn(self) -> None:
        try:
            endpoint = self._sender.endpoint(self._subscription.subscriber)
        except ValueError:
            endpoint = _NOWHERE
        project = self._home.queue.project
        turn: Turn = await self._wait(self._resources.endpoints.turn(project, endpoint))
        try:
            await self._deliver_page(turn)
        finally:
            turn.end()

    async def _deliver_page(self, turn: Turn) -> None:
        home, progress, target = self._home, self._progress, self._home.target
        page = await home.store.undelivered(home.queue, home.owner, self.sequence, progress.position, PAGE)
        if page is None:
            progress.refused()
            return
        if page.gap is not None:
            self._resources.metrics.missed()
            log.info("messages_missed", reason=page.gap.reason, **self._shown())
        for message in page.messages:
            if progress.stopping or not home.holds or not await self._deliver(message, turn):
                break
        else:
            # Nothing is left up to there.
            progress.position = max(progress.position, page.position if page.messages else target)
        await progress.told()

    async def _deliver(self, message: Message, turn: Turn) -> bool:
        """Send one message. True: it was delivered, and the next one may be sent at once."""
        sent = await self._send(message)
        if sent.result is Result.AGAIN:
            turn.failed()
        else:
            turn.succeeded()
        if sent.result is Result.DELIVERED:
            self._attempts = 0
            self._progress.delivered(message.position)
            return True
        turn.end()  # what follows is between the store and this node
        await self._progress.told()
        delay = await self._delay() if sent.result is Result.AGAIN else None
        if delay is None:
            await self._give_up(message, sent.error)
        else:
            await self._postpone(delay, sent.error)
        return False

    async def _send(self, message: Message) -> Sent:
        queue, began = self._home.queue, self._now()
        notice = Notice(
            queue,
            self._subscription,
            notice_of(queue.name, message.ttl, message.body),
            format_id(message.sequence, queue.incarnation),
        )
        sent = await self._sender.send(notice)
        self._resources.metrics.tried(sent.result, self._now() - began)
        return sent

    # What failed

    async def _delay(self) -> float | None:
        """Seconds until the message that was tried just now is tried again; None: it is given up."""
        queue = await self._home.current()
        policy = self._subscription.options.get("_retry_policy")
        delay = schedule(queue.metadata.get("_retry_policy"), policy).delay_before(self._attempts + 2)
        # No message lives longer than that.
        return None if delay is None else float(min(delay, limits.MESSAGE_TTL_MAX))

    async def _postpone(self, seconds: float, error: str) -> None:
        home, attempts = self._home, self._attempts + 1
        self._attempts, self._due_at = attempts, self._now() + seconds
        noted = await self._progress.note(
            lambda: home.store.delivery_postponed(
                home.queue, home.owner, self.sequence, attempts, seconds, error
            )
        )
        if noted:
            log.info("delivery_postponed", attempts=attempts, seconds=seconds, error=error, **self._shown())

    async def _give_up(self, message: Message, error: str) -> None:
        home, queue = self._home, await self._home.current()
        name = queue.settings.dead_letter_queue
        # In its own queue it would be delivered, and given up, for ever.
        dead_letter = (name, queue.settings.dead_letter_ttl) if name and name != queue.name else None
        done = await self._progress.note(
            lambda: home.store.delivery_failed(
                home.queue,
                home.owner,
                self.sequence,
                message.sequence,
                message.position,
                error,
                dead_letter,
            )
        )
        if not done:
            return
        self._attempts, self._due_at = 0, 0.0
        self._progress.position = message.position
        self._resources.metrics.failed()
        message_id = format_id(message.sequence, queue.incarnation)
        log.warning("delivery_failed", message=message_id, error=error, **self._shown())
        if dead_letter is not None:
            await deliver_claimed(self._resources.router, home.store, queue)

    def _shown(self) -> dict[str, str]:
        queue = self._home.queue
        return {"queue": queue.name, "subscription": format_id(self.sequence, queue.incarnation)}
