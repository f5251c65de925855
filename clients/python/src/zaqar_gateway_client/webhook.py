"""For receivers of webhooks: whether it was the gateway that sent a request.

Needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

SIGNATURE_HEADER = "X-Zaqar-Signature"
"""The header that holds the signature: `t=<Unix time>,v1=<hex>`, with several `v1` while keys change."""

_MOST = 16
"""Signatures that are looked at in one header."""

_TIME = re.compile(r"[0-9]{1,15}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class HasItems(Protocol):
    """What a mapping has, and the headers of the standard library."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


Headers = HasItems | Iterable[tuple[str | bytes, str | bytes]]
"""As frameworks have them: something like a mapping, or pairs; names in any case."""


class SignatureInvalid(ValueError):
    """The request is not to be trusted: its signature is missing, wrong or too old."""


def verify_webhook(
    signature: str | Headers | None,
    body: bytes | str,
    secret: str | Sequence[str],
    tolerance: float = 300,
    now: float | None = None,
) -> None:
    """Return if the gateway has sent this request, for this subscription, just now. Takes constant time.

    :param signature: the value of SIGNATURE_HEADER, or all headers of the request.
    :param body: of the request, exactly as it came: before it is decoded as JSON.
    :param secret: `signature_secret` of the subscription, or several of them, of which any will do.
    :param tolerance: seconds that the request may be old, or ahead of this machine's clock.
    :param now: seconds since the epoch; default: this machine's clock.
    :raises SignatureInvalid: it is not, or cannot be known to be.
    """
    if not isinstance(signature, str):
        signature = _found(signature)
    times, signatures = _read(signature)
    if len(times) != 1 or not signatures:
        raise SignatureInvalid(f"{SIGNATURE_HEADER} has not the form of a signature")
    data = body.encode() if isinstance(body, str) else bytes(body)
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not all(secrets):  # whoever reads one that is not set: anybody can sign with an empty one
        raise SignatureInvalid(f"{SIGNATURE_HEADER} cannot be verified: a secret is empty")
    good = False
    for key in secrets:
        expected = hmac.new(key.encode(), times[0].encode() + b"." + data, hashlib.sha256).hexdigest()
        for each in signatures:  # all of them, so that the time taken does not tell which
            good |= hmac.compare_digest(expected, each)
    if not good:
        raise SignatureInvalid(f"{SIGNATURE_HEADER} was not made with this secret over this body")
    # In this way round a tolerance that is no number admits nothing.
    if not abs((time.time() if now is None else now) - int(times[0])) <= tolerance:
        raise SignatureInvalid(f"{SIGNATURE_HEADER} was made too long ago, or the clocks differ")


def _found(headers: Headers | None) -> str:
    given: Any = headers or ()
    pairs: Iterable[tuple[str | bytes, str | bytes]] = given.items() if hasattr(given, "items") else given
    wanted = SIGNATURE_HEADER.lower()
    values: list[Any] = [_text(value) for name, value in pairs if _text(name).lower() == wanted]
    if len(values) != 1 or not isinstance(values[0], str):
        raise SignatureInvalid(f"{SIGNATURE_HEADER} is missing, or there is more than one")
    return values[0]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read(header: str) -> tuple[list[str], list[str]]:
    times, signatures = [], []
    for item in header.split(",")[: _MOST + 1]:
        name, _, value = item.strip().partition("=")
        if name == "t" and _TIME.fullmatch(value):
            times.append(value)
        elif name == "v1" and _SIGNATURE.fullmatch(value):
            signatures.append(value)
    return times, signatures
