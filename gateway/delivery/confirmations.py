"""Asks subscribers that are not sockets whether they want a queue's messages (protocol.md section 6).

Each is tried a few times, and then given up: nothing of it is kept. Who creates the subscription again has it
sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time
from typing import Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.auth.keystone_client import open_client
from gateway.delivery.public_urls import Finding
from gateway.delivery.sender import Notice, Result, Sender, Sent
from gateway.logs import get_logger
from gateway.settings import Settings
from gateway.stopping import Stopping
from protocol.confirmations import CONFIRMATION, UNSUBSCRIPTION, PublicUrls, write
from protocol.errors import RequestError, Unavailable
from protocol.identifiers import format_id
from protocol.signed_urls import sign, to_confirm
from protocol.subscribers import scheme_of
from schemas.limits import SUBSCRIPTION_TTL_DEFAULT
from storage.records import Queue, Subscription

MAX_UNDER_WAY = 1_000
"""Confirmations that are sent, or wait to be tried again; more are refused."""

MAX_OF_PROJECT = 100
"""Those of one project: its subscribers, which need not answer, cannot keep others' from being asked."""

MAX_AT_ONCE = 16
"""Confirmations that are sent at the same time."""

DELAYS: Final = (5.0, 30.0, 120.0)
"""Seconds from one try to the next."""

log = get_logger(__name__)


class ConfirmationsBusy(Unavailable):
    """Too many subscribers are being asked to confirm."""

    code = "confirmations_busy"


class _UnderWay(NamedTuple):
    """What a subscriber is being told."""

    kind: str
    project: str
    subscriber: str
    work: Deferred[None]


class Confirmations:
    """Sends them. `stop` is called once; what is under way is given up then.

    :param senders: by the scheme of the subscriber's URL; `stop` leaves them as they are.
    :param keys: the first signs what lets the subscriber answer; it may change at any time.
    :param find_urls: finds out where the gateway is reached. RequestError: it is not known now.
    :param count: is told what came of each: `delivered`, `refused` or `given_up`.
    """

    def __init__(
        self,
        reactor: Any,
        senders: Mapping[str, Sender],
        keys: Sequence[bytes],
        find_urls: Callable[[], Awaitable[PublicUrls]],
        count: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._senders = senders
        self._keys = keys
        self._find_urls = find_urls
        self._count = count
        self._turns = DeferredSemaphore(MAX_AT_ONCE)
        self._under_way: dict[tuple[int, int], _UnderWay] = {}
        """By the incarnation of the queue, and the sequence of the subscription."""
        self._stopped = False

    def check_room(self, project: str) -> None:
        """Raise ConfirmationsBusy if nobody can be asked now: before a subscription is made for it."""
        if not self._has_room(project):
            raise ConfirmationsBusy(
                f"{MAX_UNDER_WAY} subscribers, or {MAX_OF_PROJECT} of this project, are being asked; "
                "try again in a minute."
            )

    def _has_room(self, project: str) -> bool:
        if len(self._under_way) >= MAX_UNDER_WAY:
            return False
        return sum(each.project == project for each in self._under_way.values()) < MAX_OF_PROJECT

    def ask(self, queue: Queue, subscription: Subscription) -> None:
        """Ask the subscriber to confirm, as long as the subscription lives."""
        end = time() + subscription.ttl - subscription.age
        self._begin(CONFIRMATION, queue, subscription, end)

    def tell_unsubscribed(self, queue: Queue, subscription: Subscription) -> None:
        """Tell the subscriber, if there is room, that it gets nothing any more, and how to change that."""
        self._begin(UNSUBSCRIPTION, queue, subscription, time() + SUBSCRIPTION_TTL_DEFAULT)

    async def stop(self) -> None:
        """Give up all that is under way."""
        self._stopped = True
        for each in list(self._under_way.values()):
            each.work.cancel()

    def _begin(self, kind: str, queue: Queue, subscription: Subscription, end: float) -> None:
        place = queue.incarnation, subscription.sequence
        before = self._under_way.get(place)
        if before is not None:
            if (before.kind, before.subscriber) == (kind, subscription.subscriber):
                return  # it is told just this
            before.work.cancel()
        if self._stopped:
            return
        if not self._has_room(queue.project):  # for a question there was, but others came since
            told = (
                f"{MAX_UNDER_WAY} subscribers, or {MAX_OF_PROJECT} of this project, are being told something."
            )
            self._fail("given_up", queue, subscription, told)
            return
        work = Deferred.fromCoroutine(self._send(kind, queue, subscription, end))
        under_way = self._under_way[place] = _UnderWay(kind, queue.project, subscription.subscriber, work)
        work.addBoth(self._ended, place, under_way)

    def _ended(self, outcome: object, place: tuple[int, int], under_way: _UnderWay) -> None:
        if self._under_way.get(place) is under_way:
            del self._under_way[place]
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):
            log.error("confirmation_broke", failure=outcome.getTraceback())

    async def _send(self, kind: str, queue: Queue, subscription: Subscription, end: float) -> None:
        for delay in (*DELAYS, None):
            sent = await self._try(kind, queue, subscription, end)
            if sent.result is not Result.AGAIN or delay is None:
                break
            await deferLater(self._reactor, delay)
        if sent.result is Result.DELIVERED:
            self._count("delivered")
        else:
            final = sent.result is Result.REFUSED
            self._fail("refused" if final else "given_up", queue, subscription, sent.error)

    def _fail(self, result: str, queue: Queue, subscription: Subscription, reason: str) -> None:
        self._count(result)
        log.warning(
            "confirmation_failed",
            project=queue.project,
            queue=queue.name,
            subscription=format_id(subscription.sequence, queue.incarnation),
            reason=reason,
        )

    async def _try(self, kind: str, queue: Queue, subscription: Subscription, end: float) -> Sent:
        try:
            urls = await self._find_urls()
        except RequestError as error:
            return Sent(Result.AGAIN, str(error))
        subscription_id = format_id(subscription.sequence, queue.incarnation)
        url = to_confirm(queue.name, subscription_id, queue.project, end)
        body = write(kind, queue.name, url, sign(self._keys[0], url), urls)
        sender = self._senders.get(scheme_of(subscription.subscriber))
        if sender is None:
            return Sent(Result.REFUSED, "The gateway does not send to such subscribers now.")
        await self._turns.acquire()
        try:
            return await sender.send(Notice(queue, subscription, body))
        finally:
            self._turns.release()


def make_confirmations(
    reactor: Any,
    settings: Settings,
    senders: Mapping[str, Sender],
    keys: Sequence[bytes],
    count: Callable[[str], None],
    stopping: Stopping,
) -> Confirmations | None:
    """What the settings ask for; None: nobody has to confirm. Raises SettingsError.

    :param stopping: is told what to stop before the senders.
    """
    if not settings.require_confirmation:
        return None
    keystone = None
    if settings.public_url is None and "keystone" in settings.auth_methods:
        keystone = open_client(reactor, settings)
        stopping.add(keystone.stop)
    confirmations = Confirmations(reactor, senders, keys, Finding(settings, keystone).find, count)
    stopping.add(confirmations.stop)
    return confirmations
