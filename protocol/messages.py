"""The messages of a post: read one by one, checked, their bodies kept as they were sent."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Raw, Struct

from protocol.body import Body
from protocol.checks import check_bounds
from protocol.codec import CODECS, Codec
from protocol.errors import BadRequest, SchemaViolation
from protocol.incoming import Incoming
from protocol.registry import bounds
from schemas import limits
from schemas.messages import NewMessage


class PostedMessage(Struct, frozen=True, gc=False):
    """A message to be stored. `ttl` and `delay` in seconds; None: the queue's default."""

    ttl: int | None
    delay: int | None
    body: Body
    dedup_id: bytes = b""
    """By which a repeat is known; empty: it has none."""


class _Post(Struct, frozen=True):
    """The body of a post, with its messages read."""

    messages: list[NewMessage]


class _Array(Struct, frozen=True):
    """The same with the array as it was sent, to know its size."""

    messages: Raw


_BOUNDS: Final = bounds(NewMessage)


def read_messages(
    incoming: Incoming, post_bytes: int = limits.POST_BYTES, *, extended: bool = False
) -> list[PostedMessage]:
    """The messages of a message_post that `envelope.check` has let through.

    `post_bytes` is the most bytes that the encoded `messages` array may have
    (docs/compatibility.md, 25); `extended`: whether they may have a dedup_id, which is ignored otherwise.
    Raises BadRequest, which names the message and the field.
    """
    assert incoming.raw_body is not None
    form = incoming.form
    codec = CODECS[form]
    if len(incoming.raw_body) > post_bytes:
        size = len(codec.decode(incoming.raw_body, _Array).messages)
        if size > post_bytes:
            raise BadRequest(f"The messages array has {size} bytes; at most {post_bytes} are accepted.")
    try:
        messages = codec.decode(incoming.raw_body, _Post).messages
    except SchemaViolation as error:
        # Inside a message a wrong type is the action's error (protocol.md section 3).
        raise BadRequest(str(error).replace("`$.", "`")) from None
    posted = []
    for index, message in enumerate(messages):
        try:
            check_bounds(_BOUNDS, message)
        except BadRequest as error:
            raise BadRequest(f"messages[{index}].{error}") from None
        data = bytes(message.body)
        try:
            codec.check(data)
        except BadRequest as error:
            raise BadRequest(f"messages[{index}].body: {error}") from None
        posted.append(
            PostedMessage(
                None if message.ttl is UNSET else message.ttl,
                None if message.delay is UNSET else message.delay,
                Body(form, data),
                _read_dedup_id(message.dedup_id, codec, index)
                if extended and message.dedup_id is not UNSET
                else b"",
            )
        )
    return posted


def _read_dedup_id(raw: Raw, codec: Codec, index: int) -> bytes:
    try:
        found = codec.decode(raw, str).encode()
    except SchemaViolation:
        found = b""
    if not 0 < len(found) <= limits.DEDUP_ID_BYTES:
        raise BadRequest(
            f"messages[{index}].dedup_id must be a string of 1 to {limits.DEDUP_ID_BYTES} bytes in UTF-8"
        )
    return found
