"""What streams get: events that are made once for all of them."""

from __future__ import annotations

from gateway.push.frames import STREAMED, notice, notifications
from protocol.identifiers import format_id
from schemas.events import BehindEvent, DrainingEvent, GapEvent
from storage.records import Message, Queue
from tests.support.event_source import Event, Parser
from tests.support.store import new_queue, text


def events(told: bytes) -> list[Event]:
    return [event for event in Parser("17").feed(told) if event is not None]


def message(sequence: int, position: int) -> Message:
    return Message(sequence, position, 60, 0, text("x"), None, 0, None, None)


def test_messages_are_events_with_their_positions() -> None:
    queue: Queue = new_queue()
    told = events(notifications(queue, [message(5, 7), message(6, 9)], STREAMED))
    assert [(event.name, event.id, event.data["marker"]) for event in told] == [
        ("message", "7", "7"),
        ("message", "9", "9"),
    ]
    assert told[0].data["message_id"] == format_id(5, queue.incarnation)


def test_who_comes_back_goes_on_before_what_was_lost() -> None:
    (gap,) = events(notice(GapEvent(queue_name="q", after="3", to="8"), STREAMED))
    assert (gap.name, gap.id, gap.data["from"]) == ("gap", "3", "3")


def test_other_notices_change_nothing_about_that() -> None:
    (behind,) = events(notice(BehindEvent(queue_name="q"), STREAMED))
    assert (behind.name, behind.id) == ("behind", "17")
    parser = Parser("17")
    (draining,) = parser.feed(notice(DrainingEvent(reconnect_after_ms=500), STREAMED, retry=500))
    assert draining == Event("draining", {"event": "draining", "reconnect_after_ms": 500}, "17")
    assert parser.retry == 500
