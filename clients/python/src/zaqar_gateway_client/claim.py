"""A claim: messages that are leased to one worker for a while (docs/protocol.md, Claims)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zaqar_gateway_client.records import Message

if TYPE_CHECKING:
    from zaqar_gateway_client.gateway import Gateway


class Claim:
    """What `Queue.claim` leased. For work without end, `Gateway.consume` is easier.

    :ivar id: None if nothing was leased, by some servers.
    :ivar messages: what was leased, in the order of the queue.
    """

    def __init__(
        self, gateway: Gateway, queue: str, claim_id: str | None, messages: Sequence[Message]
    ) -> None:
        self.id = claim_id
        self.queue = queue
        self.messages = messages
        self._gateway = gateway

    def __bool__(self) -> bool:
        return bool(self.messages)

    async def acknowledge(self, message: Message, *, timeout: float | None = None) -> None:
        """Delete a message: it is done. Raises `Forbidden` or `BadRequest` if the lease has ended."""
        body = {"queue_name": self.queue, "message_id": message.id, "claim_id": self.id}
        await self._gateway.call("message_delete", body, timeout=timeout)

    async def renew(self, ttl: int = 300, *, grace: int = 60, timeout: float | None = None) -> None:
        """Let it live for `ttl` seconds from now. Raises `NotFound` if it has ended."""
        body = {"queue_name": self.queue, "claim_id": self.id, "ttl": ttl, "grace": grace}
        await self._gateway.call("claim_update", body, timeout=timeout)

    async def release(self, *, timeout: float | None = None) -> None:
        """Give back what was not acknowledged."""
        if self.id is not None:
            body = {"queue_name": self.queue, "claim_id": self.id}
            await self._gateway.call("claim_delete", body, timeout=timeout)
