"""A request as it was read, or why it could not be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from protocol.codec import Codec, Form
from protocol.errors import RequestError, SchemaViolation
from protocol.registry import Action
from schemas import limits
from schemas.envelope import SECRET_HEADERS, AuthenticateHeaders, RequestHeaders


@dataclass(slots=True)
class Incoming:
    """One request. Without a `failure`, `action`, `headers` and `body` are there.

    Its repr, which may end in a log, shows neither headers nor bodies.
    """

    form: Form
    """The form of the frame, and so of the reply."""
    action: Action | None = None
    headers: RequestHeaders | AuthenticateHeaders | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)
    """The body as the action's request type."""
    failure: RequestError | None = None
    """Why this is no request that can be done."""
    raw_body: Raw | None = field(default=None, repr=False)
    """The body as it was sent; None where there was none."""
    echo_action: object = None
    """The action as the reply repeats it."""
    echo_headers: Raw | None = field(default=None, repr=False)
    """The headers as the reply repeats them: without secrets."""
    id: str | int | UnsetType = UNSET
    """What the client calls the request; the reply repeats it (protocol.extension)."""
    echo: bool = True
    """Whether the reply repeats the request."""

    @property
    def token(self) -> str:
        """The token of an `authenticate`."""
        assert isinstance(self.headers, AuthenticateHeaders)
        return self.headers.auth_token


def check_request_id(value: str | int | UnsetType) -> None:
    """Raise SchemaViolation if a request's id cannot be repeated in every form, or is too long."""
    if isinstance(value, str):
        if len(value) > limits.REQUEST_ID_CHARACTERS:
            raise SchemaViolation(f"id: a string of at most {limits.REQUEST_ID_CHARACTERS} characters")
    elif value is not UNSET and abs(value) > limits.SAFE_INTEGER:
        raise SchemaViolation(f"id: an integer of at most {limits.SAFE_INTEGER}")


def without_secrets(headers: Raw, codec: Codec) -> Raw:
    """Encoded headers without those that hold secrets (docs/compatibility.md, 5)."""
    text = bytes(headers).lower()
    # In JSON the name of a header may be written with escapes.
    if b"x-auth-token" not in text and b"url-signature" not in text and b"\\" not in text:
        return headers
    try:
        members = codec.decode(headers, dict[str, Raw])
    except SchemaViolation:
        # Not an object with text keys. Rather no echo than one with a secret.
        return codec.empty_object
    return Raw(codec.encode({key: value for key, value in members.items() if not is_secret(key)}))


def without_fields(body: Raw, fields: Collection[str], codec: Codec) -> Raw:
    """An encoded body without these fields, which may hold secrets."""
    try:
        members = codec.decode(body, dict[str, Raw])
    except SchemaViolation:
        # As above.
        return codec.empty_object
    return Raw(codec.encode({key: value for key, value in members.items() if key not in fields}))


def is_secret(header: object) -> bool:
    """Whether a header holds a secret."""
    text = header.decode("latin-1") if isinstance(header, bytes) else str(header)
    return text.lower() in SECRET_HEADERS
