"""Frames in and out: requests, replies and notifications (protocol.md sections 1 and 4)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from protocol.body import Body
from protocol.checks import check, client_id
from protocol.codec import CODECS, Form
from protocol.diagnosis import diagnose
from protocol.errors import SchemaViolation
from protocol.incoming import Incoming, without_fields, without_secrets
from protocol.registry import ACTIONS
from schemas.envelope import Echo, Reply, ReplyHeaders
from schemas.events import Notification

__all__ = ["Incoming", "check", "client_id", "notification", "read", "reply"]


class _Frame(Struct, frozen=True, gc=False):
    """The envelope, its parts still encoded."""

    action: str
    headers: Raw
    body: Raw = msgspec.field(default=Raw(b""))


def read(frame: bytes, form: Form) -> Incoming:
    """The request in a frame. Never raises: what is wrong with it is the result's `failure`.

    The checks come in the order of protocol.md section 1: decoding, action, schema.
    """
    codec = CODECS[form]
    try:
        codec.prove(frame)
        parts = codec.decode(frame, _Frame)
        action = ACTIONS[parts.action]
        headers = codec.decode(parts.headers, action.headers)
        if parts.body:
            body = codec.decode(parts.body, action.request)
        elif action.body_required:
            raise SchemaViolation("body: missing")
        else:
            body = action.request()
    except (SchemaViolation, KeyError, ValueError):
        return diagnose(frame, form)
    return Incoming(
        form,
        action,
        headers,
        body,
        None,
        parts.body or None,
        action.name,
        without_secrets(parts.headers, codec),
    )


def reply(incoming: Incoming, status: int, body: object) -> bytes:
    """The frame that answers a request, in the form of the request.

    `body` is a string, a dict or one of the reply types of `schemas`.
    """
    codec = CODECS[incoming.form]
    shown = incoming.raw_body or codec.empty_object
    if incoming.action is not None and incoming.action.secrets:
        shown = without_fields(shown, incoming.action.secrets, codec)
    echo = Echo(
        action=incoming.echo_action,
        body=shown,
        headers=incoming.echo_headers or codec.empty_object,
    )
    return codec.encode(Reply(request=echo, body=body, headers=ReplyHeaders(status)))


def notification(queue_name: str, ttl: int, body: Body, form: Form) -> bytes:
    """The frame that pushes a message to a subscriber. `ttl` in seconds."""
    return CODECS[form].encode(Notification(ttl=ttl, body=body.told_in(form), queue_name=queue_name))
