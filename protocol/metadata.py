"""A queue's metadata: what may stand in it, and what the reserved keys mean (protocol.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from protocol.body import Body, Form
from protocol.codec import CODECS
from protocol.errors import BadRequest
from protocol.names import is_queue_name
from protocol.retry_policy import check_retry_policy
from schemas import limits

Metadata = dict[str, Any]

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "_max_messages_post_size": limits.POST_BYTES,
        "_default_message_ttl": limits.MESSAGE_TTL_DEFAULT,
        "_default_message_delay": limits.MESSAGE_DELAY_DEFAULT,
        "_dead_letter_queue": None,
        "_dead_letter_queue_messages_ttl": None,
        "_max_claim_count": None,
        "_enable_encrypt_messages": False,
    }
)
"""What a queue shows for the reserved keys that it does not have."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What the reserved keys say. Durations in seconds, sizes in bytes."""

    default_ttl: int
    default_delay: int
    max_post_size: int
    dead_letter_queue: str | None
    dead_letter_ttl: int | None
    """The ttl of a message from when it is dead-lettered; None: it keeps its own."""
    max_claim_count: int | None
    flavor: str | None
    encrypted: bool
    """Whether messages are encrypted before they are stored."""


def read_metadata(raw: Raw | UnsetType, form: Form) -> Metadata:
    """The metadata of a queue_create; empty if it is absent or null. Raises BadRequest."""
    if raw is UNSET:
        return {}
    data = bytes(raw)
    _check_size(len(data))
    value = read_value(data, form, "metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest("metadata must be an object or null")
    check_reserved(value)
    return value


def read_value(data: bytes, form: Form, where: str) -> Any:
    """An encoded value as JSON has it. Raises BadRequest, naming `where`, if it cannot be told in JSON."""
    try:
        CODECS[form].check(data)
    except BadRequest as error:
        raise BadRequest(f"{where}: {error}") from None
    return Body(form, data).value()


def check_metadata(metadata: Metadata) -> None:
    """Raise BadRequest if a queue may not have this metadata as a whole."""
    _check_size(len(msgspec.json.encode(metadata)))
    check_reserved(metadata)


def check_reserved(metadata: Mapping[str, Any]) -> None:
    """Raise BadRequest if a reserved key has a wrong type or range. Null is never wrong."""
    for key, check in _CHECKS.items():
        value = metadata.get(key)
        if value is not None:
            check(key, value)


def with_defaults(metadata: Mapping[str, Any]) -> Metadata:
    """The metadata with the reserved keys that it does not have, or that are null."""
    given = {key: value for key, value in metadata.items() if value is not None or key not in DEFAULTS}
    return {**DEFAULTS, **given}


def settings(metadata: Mapping[str, Any]) -> QueueSettings:
    """What the reserved keys of checked metadata say. Null counts as absent."""

    def setting(key: str) -> Any:
        value = metadata.get(key)
        return DEFAULTS[key] if value is None else value

    return QueueSettings(
        default_ttl=setting("_default_message_ttl"),
        default_delay=setting("_default_message_delay"),
        max_post_size=setting("_max_messages_post_size"),
        dead_letter_queue=setting("_dead_letter_queue"),
        dead_letter_ttl=setting("_dead_letter_queue_messages_ttl"),
        max_claim_count=setting("_max_claim_count"),
        flavor=metadata.get("_flavor"),
        encrypted=setting("_enable_encrypt_messages"),
    )


def _check_size(size: int) -> None:
    if size > limits.METADATA_BYTES:
        raise BadRequest(f"metadata has {size} bytes; at most {limits.METADATA_BYTES} are accepted")


def _from_to(minimum: int, maximum: int) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        # A boolean is not an integer here (docs/compatibility.md, 24).
        if type(value) is not int or not minimum <= value <= maximum:
            raise BadRequest(f"{key} must be an integer from {minimum} to {maximum}")

    return check


def _check_dead_letter_queue(key: str, value: Any) -> None:
    if not isinstance(value, str) or not is_queue_name(value):
        raise BadRequest(f"{key} must be the name of a queue")


def _check_flavor(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise BadRequest(f"{key} must be the name of a flavor")


def _check_boolean(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise BadRequest(f"{key} must be true or false")


_CHECKS: Final[Mapping[str, Callable[[str, Any], None]]] = MappingProxyType(
    {
        "_default_message_ttl": _from_to(limits.MESSAGE_TTL_MIN, limits.MESSAGE_TTL_MAX),
        "_default_message_delay": _from_to(limits.MESSAGE_DELAY_MIN, limits.MESSAGE_DELAY_MAX),
        "_max_messages_post_size": _from_to(1, limits.POST_BYTES),
        "_dead_letter_queue": _check_dead_letter_queue,
        "_dead_letter_queue_messages_ttl": _from_to(limits.MESSAGE_TTL_MIN, limits.MESSAGE_TTL_MAX),
        "_max_claim_count": _from_to(0, limits.SAFE_INTEGER),
        "_enable_encrypt_messages": _check_boolean,
        "_flavor": _check_flavor,
        "_retry_policy": check_retry_policy,
    }
)
