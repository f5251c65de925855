"""The headers of requests: a client sends the same with each, so that they are read but once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec import Raw

from protocol.codec import Codec, Form
from protocol.incoming import without_secrets
from schemas.envelope import AuthenticateHeaders, RequestHeaders

Headers = RequestHeaders | AuthenticateHeaders

REMEMBERED: Final = 10_000
"""Headers that are remembered, at the most: those that came first are forgotten first."""

LONGEST: Final = 512
"""Bytes of those that are remembered. Usual ones have a fifth of it."""

_known: Final[OrderedDict[tuple[bytes, Form, type[Headers]], tuple[Headers, Raw]]] = OrderedDict()


def read_headers(raw: Raw, codec: Codec, shape: type[Headers]) -> tuple[Headers, Raw]:
    """Encoded headers as a `shape`, and as the reply repeats them: without secrets.

    Raises SchemaViolation. What may hold a secret is not remembered.
    """
    encoded = bytes(raw)
    key = encoded, codec.form, shape
    known = _known.get(key)
    if known is not None:
        return known
    headers = codec.decode(encoded, shape)
    copy = Raw(encoded)  # it may live long, and `raw` keeps the whole frame
    read = headers, without_secrets(copy, codec)
    if read[1] is copy and len(encoded) <= LONGEST:
        if len(_known) == REMEMBERED:
            _known.popitem(last=False)
        _known[key] = read
    return read
