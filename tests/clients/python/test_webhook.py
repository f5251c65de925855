"""Receivers of webhooks: what is trusted, and what is not."""

from __future__ import annotations

from http.client import HTTPMessage
from typing import Any

import pytest

from protocol.webhook_signature import signature_header
from zaqar_gateway_client import SIGNATURE_HEADER, SignatureInvalid, verify_webhook

BODY = b'{"body": "caf\xc3\xa9"}'
SIGNATURE = signature_header(["secret"], BODY, 1_000_000)

STANDARD = HTTPMessage()
STANDARD["x-zaqar-signature"] = SIGNATURE


@pytest.mark.parametrize(
    "signature",
    [
        SIGNATURE,
        {SIGNATURE_HEADER: SIGNATURE},
        {"x-zaqar-signature": SIGNATURE, "Other": "x"},
        STANDARD,
        [(b"x-zaqar-signature", SIGNATURE.encode()), (b"other", b"x")],
        SIGNATURE.replace(",", ", "),
        SIGNATURE + ",v2=unknown",
        signature_header(["newer", "secret"], BODY, 1_000_000),
    ],
    ids=["header", "mapping", "lower case", "http.server", "ASGI", "spaces", "later version", "two keys"],
)
@pytest.mark.parametrize("body", [BODY, BODY.decode(), bytearray(BODY)], ids=["bytes", "text", "bytearray"])
def test_what_the_gateway_sends_is_trusted(signature: Any, body: Any) -> None:
    for now in (999_700, 1_000_000, 1_000_300):
        verify_webhook(signature, body, "secret", now=now)
    verify_webhook(signature, body, ["another", "secret"], now=1_000_000)


@pytest.mark.parametrize(
    ("signature", "body", "secret"),
    [
        (SIGNATURE, BODY + b" ", "secret"),
        (SIGNATURE, BODY, "another"),
        (SIGNATURE, BODY, []),
        (SIGNATURE.replace("t=1000000", "t=1000001"), BODY, "secret"),
        (SIGNATURE + ",t=1000000", BODY, "secret"),
        (SIGNATURE.partition(",")[2], BODY, "secret"),
        (SIGNATURE.partition(",")[0], BODY, "secret"),
        (SIGNATURE[:-1], BODY, "secret"),
        (SIGNATURE.upper(), BODY, "secret"),
        ("t=1000000," + "v1=" + "0" * 64, BODY, "secret"),
        ("", BODY, "secret"),
        ("t=1000000,v1=\u00e9", BODY, "secret"),
        (None, BODY, "secret"),
        ({}, BODY, "secret"),
        ([(SIGNATURE_HEADER, SIGNATURE), (SIGNATURE_HEADER.lower(), SIGNATURE)], BODY, "secret"),
    ],
    ids=[
        *("body", "secret", "no secret", "time", "two times", "no time", "no signature", "cut", "upper case"),
        *("zeros", "empty", "not ASCII", "none", "no header", "two headers"),
    ],
)
def test_what_it_did_not_send_is_not(signature: Any, body: bytes, secret: Any) -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(signature, body, secret, now=1_000_000)


@pytest.mark.parametrize("now", [999_699, 1_000_301])
def test_what_is_too_old_or_too_new_is_not(now: int) -> None:
    with pytest.raises(SignatureInvalid, match="too long ago"):
        verify_webhook(SIGNATURE, BODY, "secret", now=now)
    verify_webhook(SIGNATURE, BODY, "secret", tolerance=400, now=now)


def test_the_clock_is_this_machines() -> None:
    with pytest.raises(SignatureInvalid, match="too long ago"):
        verify_webhook(SIGNATURE, BODY, "secret")


@pytest.mark.parametrize("secret", ["", [""], ["secret", ""]], ids=["empty", "in a list", "besides another"])
def test_a_secret_that_is_not_set_verifies_nothing(secret: Any) -> None:
    for key in ("", "secret"):
        with pytest.raises(SignatureInvalid):
            verify_webhook(signature_header([key], BODY, 1_000_000), BODY, secret, now=1_000_000)


def test_a_tolerance_that_is_no_number_admits_nothing() -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(SIGNATURE, BODY, "secret", tolerance=float("nan"), now=1_000_000)


def test_a_header_without_a_text_is_none() -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook({SIGNATURE_HEADER: None}, BODY, "secret", now=1_000_000)  # type: ignore[arg-type]  # on purpose
