"""Webhooks: a notice is one POST, signed, and its status says what came of it (docs/webhooks.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import hyperlink
from twisted.web.http_headers import Headers

from gateway import __version__
from gateway.delivery.requests import Requests
from gateway.delivery.sender import Endpoint, Notice, Result, Sent
from gateway.http.client import HttpError
from gateway.http.guard import Guard, Refused, target_of
from gateway.settings import Settings
from protocol.identifiers import format_id
from protocol.webhook_signature import HEADER, secret_of, signature_header
from protocol.webhooks import posted, sent_headers

TRIED_AGAIN: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say: not now (RFC 9110, 8470, 6585)."""

_NO_URL: Final = "This is no URL that can be sent to."


class Webhooks:
    """A Sender for `http` and `https`.

    :param signing_keys: the operator's; what is sent has a signature by each.
    :raises OSError: the file of certificates cannot be read.
    :raises ValueError: it holds none.
    """

    def __init__(self, reactor: Any, settings: Settings, signing_keys: Sequence[bytes]) -> None:
        guard = Guard(ip_network(each) for each in settings.webhook_allowed_networks)
        self._requests = Requests(
            reactor,
            guard,
            per_server=settings.max_deliveries_per_endpoint,
            ca_file=settings.webhook_ca_file,
        )
        self._timeout = settings.webhook_timeout
        self._signing_keys = signing_keys

    def endpoint(self, subscriber: str) -> Endpoint:
        """The server in the URL. ValueError: it is no URL of http or https."""
        try:
            return Endpoint(*target_of(_ascii(subscriber)))
        except Refused as error:
            raise ValueError(str(error)) from None

    async def send(self, notice: Notice) -> Sent:
        """POST it to the subscriber."""
        return judged(await self.post(notice, notice.subscription.subscriber, {}))

    async def post(self, notice: Notice, url: str, further: Mapping[str, str]) -> int | Sent:
        """POST it to a URL, with further headers that nobody may override. Never fails.

        The status of the answer; or, where there is none, what came of it.
        """
        body = posted(notice.body, notice.subscription.options)
        try:
            ascii_url = _ascii(url)
            target = target_of(ascii_url)
        except (ValueError, Refused):
            return Sent(Result.REFUSED, _NO_URL)
        headers = self._headers(notice, body, further)
        try:
            return await self._requests.post(target, ascii_url.encode(), headers, body, self._timeout)
        except Refused as error:
            return Sent(Result.REFUSED, str(error))
        except HttpError as error:
            return Sent(Result.AGAIN, str(error))

    async def stop(self) -> None:
        """Close the connections that are kept."""
        await self._requests.stop()

    def _headers(self, notice: Notice, body: bytes, further: Mapping[str, str]) -> Headers:
        queue = notice.queue
        subscription_id = format_id(notice.subscription.sequence, queue.incarnation)
        headers = Headers(
            {"Content-Type": ["application/json"], "User-Agent": [f"zaqar-gateway/{__version__}"]}
        )
        for name, value in sent_headers(notice.subscription.options).items():
            headers.setRawHeaders(name, [value])
        headers.setRawHeaders("X-Zaqar-Subscription-Id", [subscription_id])
        if notice.message_id is not None:
            headers.setRawHeaders("X-Zaqar-Message-Id", [notice.message_id])
        if self._signing_keys:
            secrets = [
                secret_of(key, queue.project, queue.name, subscription_id) for key in self._signing_keys
            ]
            headers.setRawHeaders(HEADER, [signature_header(secrets, body, int(time.time()))])
        for name, value in further.items():
            headers.setRawHeaders(name, [value])
        return headers


def judged(status: int | Sent) -> Sent:
    """What it means that a webhook has answered so; what has come of it anyway, if it has not answered."""
    if isinstance(status, Sent):
        return status
    if 200 <= status < 300:
        return Sent(Result.DELIVERED)
    if 300 <= status < 400:
        return Sent(Result.REFUSED, f"HTTP {status}: redirects are not followed")
    again = status >= 500 or status < 200 or status in TRIED_AGAIN
    return Sent(Result.AGAIN if again else Result.REFUSED, f"HTTP {status}")


def _ascii(url: str) -> str:
    """A URL as it is sent: its host by IDNA, other characters by percent-encoding. ValueError: it is none."""
    if not url.isascii():
        url = hyperlink.URL.from_text(url).to_uri().to_text()
    parts = urlsplit(url)
    return url if parts.path else parts._replace(path="/").geturl()
