"""Messages and notices as the WebSocket frames that sockets get, each made once for all sockets of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from gateway.websocket.compression import make_compressed
from gateway.websocket.frames import make_frame, opcode
from protocol.body import Form
from protocol.envelope import event, extended_notification, notification
from protocol.identifiers import format_id
from protocol.times import shown_time
from storage.records import Message, Queue

PIECE: Final = 65_536
"""Bytes of bodies that are pushed in one piece, if it is more than one message."""

_FORMS: Final = (Form.JSON, Form.MSGPACK)
_EXTENDED: Final = 2
_COMPRESSED: Final = 4


def kind_of(form: Form, *, extended: bool, compressed: bool) -> int:
    """Which of the eight kinds of notifications a subscription gets: all of a kind get the same bytes."""
    return _FORMS.index(form) | (_EXTENDED if extended else 0) | (_COMPRESSED if compressed else 0)


def is_extended(kind: int) -> bool:
    """Whether it is a kind of sockets that have agreed on protocol.extension."""
    return kind & _EXTENDED != 0


def notifications(queue: Queue, messages: Iterable[Message], kind: int) -> bytes:
    """The notifications of these messages, each in a WebSocket frame of its own."""
    form, make = _FORMS[kind & 1], _maker(kind)
    opened = opcode(form)
    if not is_extended(kind):
        return b"".join(
            make(opened, notification(queue.name, message.ttl, message.body, form)) for message in messages
        )
    return b"".join(
        make(
            opened,
            extended_notification(
                queue.name,
                message.ttl,
                message.body,
                format_id(message.sequence, queue.incarnation),
                str(message.position),
                shown_time(message.created),
                form,
            ),
        )
        for message in messages
    )


def notice(told: Struct, kind: int) -> bytes:
    """The frame of an event (schemas.events.EVENTS)."""
    form = _FORMS[kind & 1]
    return _maker(kind)(opcode(form), event(told, form))


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
