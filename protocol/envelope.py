"""Frames in and out: requests, replies and notifications (protocol.md sections 1 and 4)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from protocol.body import Body
from protocol.checks import check, client_id
from protocol.codec import CODECS, Form
from protocol.diagnosis import diagnose
from protocol.errors import SchemaViolation
from protocol.headers import read_headers
from protocol.incoming import Incoming, check_request_id, without_fields
from protocol.registry import ACTIONS, PLAIN_ACTIONS
from schemas.envelope import Echo, Reply, ReplyHeaders
from schemas.events import ExtendedNotification, Notification

__all__ = [
    "Incoming",
    "check",
    "client_id",
    "event",
    "extended_notification",
    "notification",
    "read",
    "reply",
]


class _Frame(Struct, frozen=True, gc=False):
    """The envelope, its parts still encoded."""

    action: str
    headers: Raw
    body: Raw = msgspec.field(default=Raw(b""))


class _ExtendedFrame(_Frame, frozen=True, gc=False):
    """The same on a socket that has agreed on protocol.extension."""

    id: str | int | UnsetType = UNSET
    echo: bool = True


def read(frame: bytes, form: Form, *, extended: bool = False) -> Incoming:
    """The request in a frame. Never raises: what is wrong with it is the result's `failure`.

    The checks come in the order of protocol.md section 1: decoding, action, schema. On an `extended` socket
    a request may have an `id`, and may ask for no echo; elsewhere both are ignored, as all that is unknown.
    """
    codec = CODECS[form]
    try:
        codec.prove(frame)
        parts = codec.decode(frame, _ExtendedFrame if extended else _Frame)
        action = (ACTIONS if extended else PLAIN_ACTIONS)[parts.action]
        headers, shown = read_headers(parts.headers, codec, action.headers)
        if parts.body:
            body = codec.decode(parts.body, action.request)
        elif action.body_required:
            raise SchemaViolation("body: missing")
        else:
            body = action.request()
        incoming = Incoming(form, action, headers, body, None, parts.body or None, action.name, shown)
        if isinstance(parts, _ExtendedFrame):
            check_request_id(parts.id)
            incoming.id, incoming.echo = parts.id, parts.echo
    except (SchemaViolation, KeyError, ValueError):
        return diagnose(frame, form, extended=extended)
    return incoming


def reply(incoming: Incoming, status: int, body: object) -> bytes:
    """The frame that answers a request, in the form of the request.

    `body` is a string, a dict or one of the reply types of `schemas`.
    """
    codec = CODECS[incoming.form]
    if not incoming.echo:
        return codec.encode(Reply(id=incoming.id, body=body, headers=ReplyHeaders(status)))
    shown = incoming.raw_body or codec.empty_object
    if incoming.action is not None and incoming.action.secrets:
        shown = without_fields(shown, incoming.action.secrets, codec)
    echo = Echo(
        action=incoming.echo_action,
        body=shown,
        headers=incoming.echo_headers or codec.empty_object,
    )
    return codec.encode(Reply(id=incoming.id, request=echo, body=body, headers=ReplyHeaders(status)))


def notification(queue_name: str, ttl: int, body: Body, form: Form) -> bytes:
    """The frame that pushes a message to a subscriber. `ttl` in seconds."""
    return CODECS[form].encode(Notification(ttl=ttl, body=body.told_in(form), queue_name=queue_name))


def extended_notification(
    queue_name: str, ttl: int, body: Body, message_id: str, marker: str, created: str, form: Form
) -> bytes:
    """The same for an extended socket (protocol.extension): with id, marker and time of the message."""
    return CODECS[form].encode(
        ExtendedNotification(
            ttl=ttl,
            body=body.told_in(form),
            queue_name=queue_name,
            message_id=message_id,
            marker=marker,
            created=created,
        )
    )


def event(told: Struct, form: Form) -> bytes:
    """The frame of one of schemas.events.EVENTS."""
    return CODECS[form].encode(told)
