"""A client that speaks the protocol and does nothing by itself: for clients that do not read or close.

It reads only when asked, answers neither pings nor closes, and never closes its end.
"""

from __future__ import annotations

import json
import ssl
import uuid
from typing import Any

from tests.support.raw import TEXT, RawSocket


class RawClient(RawSocket):
    """A WebSocket, and what its requests have in common.

    :param project: the `X-Project-ID` of every request; a random one if not given.
    """

    def __init__(self, url: str, *, project: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(url, tls=tls)
        self.headers = {
            "Client-ID": str(uuid.uuid4()),
            "X-Project-ID": f"project-{uuid.uuid4().hex[:12]}" if project is None else project,
        }

    def send_request(self, action: str, body: dict[str, Any]) -> None:
        """Send one request. Blocks while the gateway does not read and all buffers are full."""
        document = {"action": action, "headers": self.headers, "body": body}
        self.send_frame(TEXT, json.dumps(document).encode())

    def receive_document(self) -> Any:
        """What the next text frame holds."""
        return json.loads(self.receive_message().payload)

    def request(self, action: str, body: dict[str, Any]) -> Any:
        """Send one request; the next document, which is its reply if no notification comes first."""
        self.send_request(action, body)
        return self.receive_document()
