"""Messages and notices as the bytes that clients get, each made once for all clients of a kind.

Those are WebSocket frames, and for streams the events of protocol.event_stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from gateway.websocket.compression import make_compressed
from gateway.websocket.frames import make_frame, opcode
from protocol import event_stream
from protocol.body import Form
from protocol.envelope import event, extended_notification, notification
from protocol.identifiers import format_id
from protocol.times import shown_time
from schemas.events import GapEvent, StreamGapEvent
from storage.records import Message, Queue

PIECE: Final = 65_536
"""Bytes of bodies that are pushed in one piece, if it is more than one message."""

_FORMS: Final = (Form.JSON, Form.MSGPACK)
_EXTENDED: Final = 2
_COMPRESSED: Final = 4
STREAMED: Final = 8 | _EXTENDED
"""The kind of event streams: those of protocol.extension, in JSON."""


def kind_of(form: Form, *, extended: bool, compressed: bool) -> int:
    """Which of the eight kinds of frames a subscription gets: all of a kind get the same bytes."""
    return _FORMS.index(form) | (_EXTENDED if extended else 0) | (_COMPRESSED if compressed else 0)


def is_extended(kind: int) -> bool:
    """Whether it is a kind of sockets that have agreed on protocol.extension."""
    return kind & _EXTENDED != 0


def notifications(queue: Queue, messages: Iterable[Message], kind: int) -> bytes:
    """The notifications of these messages, each in a frame or an event of its own."""
    form = _FORMS[kind & 1]
    if kind == STREAMED:
        return b"".join(
            event_stream.message(_extended(queue, message, form), message.position) for message in messages
        )
    make, opened = _maker(kind), opcode(form)
    if not is_extended(kind):
        return b"".join(
            make(opened, notification(queue.name, message.ttl, message.body, form)) for message in messages
        )
    return b"".join(make(opened, _extended(queue, message, form)) for message in messages)


def _extended(queue: Queue, message: Message, form: Form) -> bytes:
    return extended_notification(
        queue.name,
        message.ttl,
        message.body,
        format_id(message.sequence, queue.incarnation),
        str(message.position),
        shown_time(message.created),
        form,
    )


def notice(told: Struct, kind: int, *, retry: int | None = None) -> bytes:
    """The frame of an event (schemas.events.EVENTS), or the event in a stream (STREAM_EVENTS).

    :param retry: for streams only: milliseconds after which a client comes back when this one has ended.
    """
    form = _FORMS[kind & 1]
    document = event(told, form)
    if kind == STREAMED:
        # What is lost may be followed by messages that get its places: who comes back must not skip them.
        position = int(told.after) if isinstance(told, GapEvent | StreamGapEvent) else None
        return event_stream.notice(_event_name(told), document, position, retry)
    return _maker(kind)(opcode(form), document)


def _event_name(told: Struct) -> str:
    name: str = told.event  # type: ignore[attr-defined]  # all of them have it
    return name


def _maker(kind: int) -> Callable[[int, bytes], bytes]:
    return make_compressed if kind & _COMPRESSED else make_frame


def pieces(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Messages in parts of up to PIECE bytes."""
    part: list[Message] = []
    size = 0
    for message in messages:
        size += len(message.body.data)
        if part and size > PIECE:
            yield part
            part, size = [], len(message.body.data)
        part.append(message)
    if part:
        yield part
