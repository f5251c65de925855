"""What a subscription may ask for: subscriber URLs, lifetimes, options (protocol.md section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import UNSET, Raw, UnsetType

from protocol.body import Form
from protocol.codec import CODECS
from protocol.errors import BadRequest
from protocol.mail_address import LONGEST_TEXT, is_header_text, is_mail_address, read_mailbox
from protocol.metadata import read_value
from protocol.retry_policy import check_retry_policy
from protocol.webhooks import check_post_data, check_post_headers
from schemas import limits

TRUSTED_SCHEMES: Final = ("trust+http", "trust+https")
"""Those by which a subscriber is sent a token too, of whoever subscribed it."""

WEB_SCHEMES: Final = ("http", "https", *TRUSTED_SCHEMES)
SCHEMES: Final = (*WEB_SCHEMES, "mailto")

TRUST_ID: Final = "trust_id"
"""The option that says by which trust: the gateway's to give, since by it somebody else is spoken for."""

_NOT_IN_A_URL: Final = re.compile("[\x00-\x20\x7f]")


def check_subscriber(url: str) -> None:
    """Raise BadRequest if nothing can be sent to `url` (docs/compatibility.md, 29).

    An empty subscriber means the WebSocket itself and is not for this function.
    """
    if _NOT_IN_A_URL.search(url):
        raise BadRequest("subscriber must be a URL without spaces and control characters")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        # Reading the port checks it.
        _ = parts.port
    except ValueError as error:
        raise BadRequest(f"subscriber must be a URL: {error}") from None
    if parts.scheme not in SCHEMES:
        raise BadRequest(f"subscriber must be a URL of one of the schemes {', '.join(SCHEMES)}")
    if parts.scheme in WEB_SCHEMES:
        if not host:
            raise BadRequest(f"subscriber must name a host after {parts.scheme}://")
        if "@" in parts.netloc:
            raise BadRequest("subscriber must hold no user and password: put Authorization into post_headers")
    elif not is_mail_address(unquote(parts.path)):
        raise BadRequest("subscriber must name one mail address after mailto:")
    elif not is_header_text(mail_subject(url)):
        raise BadRequest(f"subscriber must have a subject of one line of at most {LONGEST_TEXT} characters")


def scheme_of(url: str) -> str:
    """The scheme of a subscriber, whatever it is; an empty subscriber has none."""
    return url.partition(":")[0].lower()


def is_trusted(url: str) -> bool:
    """Whether a subscriber is sent a token of whoever subscribed it."""
    return scheme_of(url) in TRUSTED_SCHEMES


def mail_subject(url: str) -> str:
    """The subject that a mailto URL asks for; empty: none (RFC 6068)."""
    for name, value in parse_qsl(urlsplit(url).query, errors="replace"):
        if name.lower() == "subject":
            return value
    return ""


def check_lifetime(ttl: int, now: float) -> None:
    """Raise BadRequest if a subscription of `ttl` seconds would end after the year 9998.

    `now` is in Unix time. That the ttl is long enough, `envelope.check` sees to.
    """
    if now + ttl >= limits.SUBSCRIPTION_END_BEFORE:
        raise BadRequest("ttl must be so short that the subscription ends before the year 9999")


def read_options(options: Mapping[str, Raw] | UnsetType, form: Form) -> dict[str, Any]:
    """A subscription's options; empty if they are absent. Raises BadRequest."""
    if options is UNSET:
        return {}
    data = CODECS[form].encode(options)
    if len(data) > limits.OPTIONS_BYTES:
        raise BadRequest(f"options have {len(data)} bytes; at most {limits.OPTIONS_BYTES} are accepted")
    read: dict[str, Any] = read_value(data, form, "options")
    if TRUST_ID in read:
        raise BadRequest(f"options may have no {TRUST_ID}: the gateway gives it. Leave it out")
    policy = read.get("_retry_policy")
    if policy is not None:
        check_retry_policy("_retry_policy", policy)
    check_post_headers(read.get("post_headers"))
    check_post_data(read.get("post_data"))
    _check_mail(read)
    return read


def _check_mail(options: Mapping[str, Any]) -> None:
    """Raise BadRequest unless `from` and `subject` can stand in the headers of a mail."""
    sender, subject = options.get("from"), options.get("subject")
    if sender is not None:
        try:
            read_mailbox(sender if isinstance(sender, str) else "")
        except ValueError:
            raise BadRequest("from must be one mail address, with or without a name before it") from None
    if subject is not None and not (isinstance(subject, str) and is_header_text(subject)):
        raise BadRequest(f"subject must be a string of one line of at most {LONGEST_TEXT} characters")
