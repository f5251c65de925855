"""How often subscribers are asked, and what ends that."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.delivery import confirmations as module
from gateway.delivery.confirmations import DELAYS, Confirmations, ConfirmationsBusy
from gateway.delivery.sender import Endpoint, Notice, Result, Sender, Sent
from protocol.confirmations import PublicUrls
from protocol.errors import Unavailable
from storage.records import Queue, Subscription

QUEUE = Queue("p", "q", 5)


class Sending:
    """A sender whose every answer the test gives."""

    def __init__(self) -> None:
        self.under_way: list[tuple[Notice, Deferred[Sent]]] = []
        self.cancelled = 0

    def endpoint(self, subscriber: str) -> Endpoint:
        return Endpoint("http", "host", 80)

    async def send(self, notice: Notice) -> Sent:
        answer: Deferred[Sent] = Deferred(self._cancel)
        self.under_way.append((notice, answer))
        return await answer

    async def stop(self) -> None:
        """Nothing is open."""

    def answer(self, result: Result) -> None:
        self.under_way.pop(0)[1].callback(Sent(result, "because"))

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


class Asking:
    """Confirmations on a clock of their own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sender = Sending()
        self.counted: list[str] = []
        self.urls_known = True
        senders: dict[str, Sender] = {"http": self.sender}
        self.confirmations = Confirmations(
            self.clock, senders, [b"key"], self._find_urls, self.counted.append
        )

    async def _find_urls(self) -> PublicUrls:
        if not self.urls_known:
            raise Unavailable("Keystone is away.")
        return PublicUrls()

    def ask(self, sequence: int = 1, subscriber: str = "http://host/") -> None:
        self.confirmations.ask(QUEUE, Subscription(sequence, subscriber, 600, 0, {}, False))


def test_tries_are_few() -> None:
    asking = Asking()
    asking.ask()
    for delay in DELAYS:
        asking.sender.answer(Result.AGAIN)
        asking.clock.advance(delay - 0.1)
        assert not asking.sender.under_way
        asking.clock.advance(0.2)
        assert len(asking.sender.under_way) == 1
    asking.sender.answer(Result.AGAIN)
    assert asking.counted == ["given_up"]
    asking.clock.advance(1e6)
    assert not asking.sender.under_way
    asking.ask()  # who asks again is told again
    asking.sender.answer(Result.DELIVERED)
    assert asking.counted == ["given_up", "delivered"]


def test_a_refusal_is_final() -> None:
    asking = Asking()
    asking.ask()
    asking.sender.answer(Result.REFUSED)
    asking.clock.advance(1e6)
    assert (asking.sender.under_way, asking.counted) == ([], ["refused"])


def test_it_waits_until_it_is_known_where_the_gateway_is() -> None:
    asking = Asking()
    asking.urls_known = False
    asking.ask()
    assert not asking.sender.under_way
    asking.urls_known = True
    asking.clock.advance(DELAYS[0])
    asking.sender.answer(Result.DELIVERED)


def test_the_same_is_told_once_at_a_time_and_something_else_in_its_place() -> None:
    asking = Asking()
    asking.ask()
    asking.ask()
    assert len(asking.sender.under_way) == 1
    asking.ask(subscriber="http://other/")
    assert asking.sender.cancelled == 1
    asking.confirmations.tell_unsubscribed(QUEUE, Subscription(1, "http://other/", 600, 0, {}, False))
    assert asking.sender.cancelled == 2
    asking.ask(sequence=2)
    told = [notice.subscription.subscriber for notice, _ in asking.sender.under_way[2:]]
    assert told == ["http://other/", "http://host/"]


def test_what_is_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 20)
    asking = Asking()
    for sequence in range(20):
        asking.confirmations.check_room("p")
        asking.ask(sequence)
    assert len(asking.sender.under_way) == module.MAX_AT_ONCE
    with pytest.raises(ConfirmationsBusy, match="try again"):
        asking.confirmations.check_room("p")
    # One that was let in when there was room is not forgotten in silence.
    asking.ask(20)
    assert asking.counted == ["given_up"]
    asking.sender.answer(Result.DELIVERED)
    asking.confirmations.check_room("p")
    assert len(asking.sender.under_way) == module.MAX_AT_ONCE


def test_one_project_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OF_PROJECT", 3)
    asking = Asking()
    for sequence in range(3):
        asking.confirmations.check_room("p")
        asking.ask(sequence)
    with pytest.raises(ConfirmationsBusy):
        asking.confirmations.check_room("p")
    asking.confirmations.check_room("another")
    # A notice is not worth more; but it takes the place of a question that nobody needs to answer any more.
    asking.confirmations.tell_unsubscribed(QUEUE, Subscription(4, "http://host/", 600, 0, {}, False))
    assert len(asking.sender.under_way) == 3
    asking.confirmations.tell_unsubscribed(QUEUE, Subscription(1, "http://host/", 600, 0, {}, False))
    assert (len(asking.sender.under_way), asking.sender.cancelled) == (4, 1)
    asking.sender.answer(Result.DELIVERED)
    asking.confirmations.check_room("p")


def test_stopping_gives_all_up() -> None:
    asking = Asking()
    asking.ask(1)
    asking.ask(2)
    asking.sender.answer(Result.AGAIN)
    stopped = Deferred.fromCoroutine(asking.confirmations.stop())
    assert stopped.called
    assert asking.sender.cancelled == 1
    assert not asking.clock.getDelayedCalls()
    asking.ask(3)
    assert len(asking.sender.under_way) == 1
