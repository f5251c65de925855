"""Signatures of what webhooks are sent."""

from __future__ import annotations

import hashlib
import hmac

from protocol.webhook_signature import secret_of, signature_header


def test_a_secret_is_a_subscriptions_own() -> None:
    secret = secret_of(b"key", "p", "q", "id")
    assert secret == hmac.new(b"key", b"webhook\np\nq\nid", hashlib.sha256).hexdigest()
    others = {
        secret_of(b"another", "p", "q", "id"),
        secret_of(b"key", "other", "q", "id"),
        secret_of(b"key", "p", "other", "id"),
        secret_of(b"key", "p", "q", "other"),
        secret_of(b"key", "p\nq", "id", ""),
    }
    assert len(others) == 5
    assert secret not in others


def test_one_signature_for_each_secret() -> None:
    new = hmac.new(b"new", b"12.body", hashlib.sha256).hexdigest()
    old = hmac.new(b"old", b"12.body", hashlib.sha256).hexdigest()
    assert signature_header(["new", "old"], b"body", 12) == f"t=12,v1={new},v1={old}"
