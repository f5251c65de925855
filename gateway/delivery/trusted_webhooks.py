"""Webhooks that are sent a token too, which speaks for who subscribed them (protocol.md section 6)."""

from __future__ import annotations

from gateway.auth.keystone_client import KeystoneUnavailable
from gateway.auth.trusts import TrustEnded, Trusts
from gateway.delivery.sender import Endpoint, Notice, Result, Sent
from gateway.delivery.webhooks import Webhooks, judged
from gateway.logs import get_logger
from protocol.subscribers import TRUST_ID

_ENDED = "The trust has ended by which it is sent a token. Updating the subscription makes another."

log = get_logger(__name__)


class TrustedWebhooks:
    """A Sender for `trust+http` and `trust+https`.

    :param webhooks: sends the requests; stopped by itself.
    :param trusts: stopped with this.
    """

    def __init__(self, webhooks: Webhooks, trusts: Trusts) -> None:
        self._webhooks = webhooks
        self._trusts = trusts

    def endpoint(self, subscriber: str) -> Endpoint:
        """The server in the URL. ValueError: it is no URL of such a scheme.

        It does not count as the same server without tokens: when Keystone is what fails, webhooks that need
        none must not wait for it.
        """
        endpoint = self._webhooks.endpoint(_without_trust(subscriber))
        return endpoint._replace(scheme=f"trust+{endpoint.scheme}")

    async def send(self, notice: Notice) -> Sent:
        """POST it with a token. If the server refuses the token, Keystone is asked for another, once."""
        trust = notice.subscription.options.get(TRUST_ID)
        if not isinstance(trust, str):
            return Sent(Result.REFUSED, _ENDED)
        try:
            token = await self._trusts.token(trust, notice.queue.project)
            answer = await self._post(notice, token)
            if answer == 401:
                self._trusts.forget(trust, token)
                answer = await self._post(notice, await self._trusts.token(trust, notice.queue.project))
        except TrustEnded:
            return Sent(Result.REFUSED, _ENDED)
        except KeystoneUnavailable as error:
            log.warning("trust_token_missing", queue=notice.queue.name, reason=str(error))
            return Sent(Result.AGAIN, "Keystone could not be asked for a token.")
        return judged(answer)

    async def stop(self) -> None:
        """Stop getting tokens."""
        await self._trusts.stop()

    async def _post(self, notice: Notice, token: str) -> int | Sent:
        url = _without_trust(notice.subscription.subscriber)
        return await self._webhooks.post(notice, url, {"X-Auth-Token": token})


def _without_trust(subscriber: str) -> str:
    return subscriber.partition("+")[2]
