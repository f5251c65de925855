"""Messages and notices as the WebSocket frames that sockets get, each made once for all sockets of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from gateway.websocket.frames import make_frame, opcode
from protocol.body import Form
from protocol.envelope import event, extended_notification, notification
from protocol.identifiers import format_id
from protocol.times import shown_time
from storage.records import Message, Queue

PIECE: Final = 65_536
"""Bytes of bodies that are pushed in one piece, if it is more than one message."""

_FORMS: Final = (Form.JSON, Form.MSGPACK)
_EXTENDED: Final = len(_FORMS)


def kind_of(form: Form, *, extended: bool) -> int:
    """Which of the four kinds of notifications a subscription gets: all of a kind get the same bytes."""
    return _FORMS.index(form) + (_EXTENDED if extended else 0)


def is_extended(kind: int) -> bool:
    """Whether it is a kind of sockets that have agreed on protocol.extension."""
    return kind >= _EXTENDED


def notifications(queue: Queue, messages: Iterable[Message], kind: int) -> bytes:
    """The notifications of these messages, each in a WebSocket frame of its own."""
    form = _FORMS[kind % _EXTENDED]
    opened = opcode(form)
    if not is_extended(kind):
        return b"".join(
            make_frame(opened, notification(queue.name, message.ttl, message.body, form))
            for message in messages
        )
    return b"".join(
        make_frame(
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
    form = _FORMS[kind % _EXTENDED]
    return make_frame(opcode(form), event(told, form))


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
