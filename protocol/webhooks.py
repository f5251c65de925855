"""What webhooks are sent, and what a subscription's options make of it (protocol.md section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from protocol.body import Body, Form
from protocol.envelope import notification
from protocol.errors import BadRequest
from schemas import limits

PLACEHOLDER: Final = '"$zaqar_message$"'
"""What stands for the notification in `post_data`, its quotes included."""

RESERVED_HEADERS: Final = frozenset(
    {
        *(
            "connection",
            "content-length",
            "expect",
            "host",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
        ),
        *("transfer-encoding", "upgrade"),
    }
)
"""What the connection is about, and not for a subscription to say; neither is what begins with X-Zaqar-."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\t]{0,4096}")


def notice_of(queue_name: str, ttl: int, body: Body) -> bytes:
    """The JSON object that tells a message (protocol.md section 4). `ttl` in seconds."""
    return notification(queue_name, ttl, body, Form.JSON)


def posted(notice: bytes, options: Mapping[str, Any]) -> bytes:
    """The body of the request: the notice, or what `post_data` has around it."""
    template = options.get("post_data")
    if template is None:
        return notice
    return str(template).encode().replace(PLACEHOLDER.encode(), notice, limits.POST_DATA_PLACEHOLDERS)


def sent_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """The `post_headers` of a subscription that may be sent."""
    given = options.get("post_headers") or {}
    return {name: text for name, text in given.items() if _fault_of(name, text) is None}


def check_post_data(value: object) -> None:
    """Raise BadRequest if this cannot be the `post_data` of a subscription."""
    if not isinstance(value, str | None):
        raise BadRequest("post_data must be a string")
    # Each is replaced by a whole message, so a few hundred would make a large post of a small one.
    if value is not None and value.count(PLACEHOLDER) > limits.POST_DATA_PLACEHOLDERS:
        raise BadRequest(f"post_data may hold {PLACEHOLDER} {limits.POST_DATA_PLACEHOLDERS} times at most")


def check_post_headers(value: object) -> None:
    """Raise BadRequest if these cannot be the `post_headers` of a subscription."""
    if value is None:
        return
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadRequest("post_headers must be an object of strings")
    for name, text in value.items():
        fault = _fault_of(name, text)
        if fault is not None:
            raise BadRequest(fault)


def _fault_of(name: str, text: str) -> str | None:
    if _HEADER_NAME.fullmatch(name) is None:
        return f"post_headers: {name[:64]!r} is no name of an HTTP header"
    if name.lower() in RESERVED_HEADERS or name.lower().startswith("x-zaqar-"):
        return f"post_headers may not hold {name}: the gateway sets it"
    if _HEADER_VALUE.fullmatch(text) is None:
        return f"post_headers: the value of {name} must be of at most 4096 printable ASCII characters"
    return None
