"""The signature of what is sent to webhooks, by which a receiver knows who sent it (docs/webhooks.md).

`X-Zaqar-Signature: t=<Unix time>,v1=<signature>` where the signature is the HMAC-SHA256 of
`<Unix time>.<body>` in hexadecimal. While the operator changes keys there are several `v1`, one for each key.
The key of a signature is the subscription's own *secret*: its receiver cannot sign for another one, and
never learns the operator's key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

HEADER: Final = "X-Zaqar-Signature"


def secret_of(signing_key: bytes, project: str, queue_name: str, subscription_id: str) -> str:
    """A subscription's secret: 64 hexadecimal digits, told to whoever subscribes a webhook."""
    # A project may hold newlines; queue names and ids don't, so there is one way to take this apart.
    text = f"webhook\n{project}\n{queue_name}\n{subscription_id}"
    return hmac.new(signing_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def signature_header(secrets: Iterable[str], body: bytes, now: int) -> str:
    """The value of HEADER. `now` in seconds since the epoch."""
    signed = str(now).encode() + b"." + body
    made = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join((f"t={now}", *(f"v1={signature}" for signature in made)))
