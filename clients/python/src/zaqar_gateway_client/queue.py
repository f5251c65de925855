"""What can be done with one queue. Every call takes `timeout`, in seconds; default: that of `connect`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from zaqar_gateway_client.claim import Claim
from zaqar_gateway_client.codec import encode
from zaqar_gateway_client.errors import CallTimeout, PostExpired
from zaqar_gateway_client.outbox import Post
from zaqar_gateway_client.records import Message, NewMessage, Page, Stats

if TYPE_CHECKING:
    from zaqar_gateway_client.gateway import Gateway

SAFE_SHARE: Final = 0.9
"""The part of the dedup window in which a post is sent again; the rest is for the way to the gateway."""


class Queue:
    """A queue of the project, which need not exist yet."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.name = name
        self._gateway = gateway

    # --- the queue itself ---

    async def create(
        self, metadata: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> None:
        """Create it, with metadata. One that exists keeps its own."""
        await self._call("queue_create", {} if metadata is None else {"metadata": metadata}, timeout)

    async def delete(self, *, timeout: float | None = None) -> None:
        """Remove it with all that is in it."""
        await self._call("queue_delete", {}, timeout)

    async def purge(self, *, timeout: float | None = None) -> None:
        """Remove its messages; subscriptions stay."""
        await self._call("queue_purge", {"resource_types": ["messages"]}, timeout)

    async def metadata(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Its metadata; empty if it does not exist."""
        found: dict[str, Any] = await self._call("queue_get", {}, timeout)
        return found

    async def update(
        self, patch: Sequence[Mapping[str, Any]], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Change its metadata by steps of RFC 6902: `{"op": "add", "path": "/metadata/team", "value": "x"}`.

        Returns all metadata. Is not repeated after a cut: `ConnectionLost` says that it may be done.
        """
        found: dict[str, Any] = await self._call("queue_update", {"patch": patch}, timeout, repeat=False)
        return found

    async def stats(self, *, timeout: float | None = None) -> Stats:
        """Count its messages. Raises `NotFound` if it does not exist."""
        counts = (await self._call("queue_get_stats", {}, timeout))["messages"]
        ends = {
            key: Message.read(self.name, counts[key])
            for key in ("oldest", "newest")
            if counts.get(key) is not None
        }
        return Stats(claimed=counts["claimed"], free=counts["free"], total=counts["total"], **ends)

    # --- messages ---

    async def post(
        self,
        body: Any,
        *,
        ttl: int | None = None,
        delay: int | None = None,
        dedup_id: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Post one message and return its id. The rest as for `post_many`; `ttl`... as in `NewMessage`."""
        message = NewMessage(body, ttl=ttl, delay=delay, dedup_id=dedup_id)
        (found,) = await self.post_many([message], timeout=timeout)
        return found

    async def post_many(self, messages: Iterable[NewMessage], *, timeout: float | None = None) -> list[str]:
        """Post messages in their order, all or none, and return their ids.

        With the extension they wait in the outbox while there is no connection, or while the store is away,
        and are stored once however often they are sent. Without it, a cut is `ConnectionLost`.

        :param timeout: seconds until it is given up; default: nine tenths of the gateway's `dedup_window`.
        :raises OutboxFull: too much waits already.
        :raises PostExpired: it took longer than it may be repeated.
        :raises CallTimeout: it took longer than `timeout`.
        :raises RequestFailed: the gateway refused it.
        """
        documents = [message.document() for message in messages]
        socket = self._gateway.link.socket
        if not self._gateway.options.extension or (socket is not None and not socket.extended):
            reply = await self._call("message_post", {"messages": documents}, timeout, repeat=False)
            return list(reply["message_ids"])
        prefix = uuid.uuid4().hex
        for number, document in enumerate(documents):
            document.setdefault("dedup_id", f"{prefix}-{number}")
        encoded = encode({"messages": documents}, self._gateway.options.form)
        size = len(encoded.encode() if isinstance(encoded, str) else encoded)
        post = self._gateway.outbox.add(self.name, documents, size)
        safe = self._gateway.dedup_window * SAFE_SHARE
        try:
            async with asyncio.timeout(safe if timeout is None else min(timeout, safe)) as limit:
                return await post.done
        except TimeoutError:
            if not limit.expired():
                raise
            raise _too_late(post, safe, timeout) from None

    async def list(
        self,
        *,
        marker: str | None = None,
        limit: int = 10,
        echo: bool = True,
        include_claimed: bool = False,
        include_delayed: bool = False,
        timeout: float | None = None,
    ) -> Page:
        """A page of messages, behind `marker`, at most `limit` (1 to 20).

        :param echo: those too that this client posted.
        """
        body = {
            "limit": limit,
            "echo": echo,
            "include_claimed": include_claimed,
            "include_delayed": include_delayed,
        }
        page = await self._call(
            "message_list", body if marker is None else {**body, "marker": marker}, timeout
        )
        return Page(self._read(page["messages"]), page.get("marker"))

    async def messages(
        self, *, include_claimed: bool = False, include_delayed: bool = False, timeout: float | None = None
    ) -> AsyncIterator[Message]:
        """All messages, page by page; `timeout` is for each."""
        marker: str | None = None
        while True:
            page = await self.list(
                marker=marker,
                limit=20,
                include_claimed=include_claimed,
                include_delayed=include_delayed,
                timeout=timeout,
            )
            for message in page.messages:
                yield message
            if not page.messages or page.marker is None:
                return
            marker = page.marker

    async def get(self, message_id: str, *, timeout: float | None = None) -> Message:
        """Read one message. Raises `NotFound`."""
        found = (await self._call("message_get", {"message_id": message_id}, timeout))["messages"]
        return Message.read(self.name, found)

    async def get_many(
        self, message_ids: Sequence[str], *, timeout: float | None = None
    ) -> Sequence[Message]:
        """Read up to 20 messages; unknown ones are left out."""
        found = await self._call("message_get_many", {"message_ids": message_ids}, timeout)
        return self._read(found["messages"])

    async def delete_message(
        self, message_id: str, *, claim_id: str | None = None, timeout: float | None = None
    ) -> None:
        """Delete one message. Raises `Forbidden` if it is claimed, unless `claim_id` is the claim."""
        body = {"message_id": message_id}
        await self._call(
            "message_delete", body if claim_id is None else {**body, "claim_id": claim_id}, timeout
        )

    async def delete_many(self, message_ids: Sequence[str], *, timeout: float | None = None) -> None:
        """Delete up to 20 messages, claimed or not."""
        await self._call("message_delete_many", {"message_ids": message_ids}, timeout)

    async def pop(self, count: int = 1, *, timeout: float | None = None) -> Sequence[Message]:
        """Take and delete up to `count` (1 to 20) messages from the head.

        At most once: is not repeated after a cut, and `ConnectionLost` says that messages may be lost.
        """
        found = await self._call("message_delete_many", {"pop": count}, timeout, repeat=False)
        return self._read(found["messages"])

    async def claim(
        self, *, limit: int = 10, ttl: int = 300, grace: int = 60, timeout: float | None = None
    ) -> Claim:
        """Lease up to `limit` (1 to 20) messages for `ttl` seconds. The claim is empty if none is free.

        Is not repeated after a cut: what was leased comes back when its ttl is over.
        """
        body = {"limit": limit, "ttl": ttl, "grace": grace}
        reply = await self._call("claim_create", body, timeout, repeat=False) or {}
        found = self._read(reply.get("messages") or [])
        return Claim(self._gateway, self.name, reply.get("claim_id"), found)

    async def _call(
        self, action: str, body: Mapping[str, Any], timeout: float | None, repeat: bool = True
    ) -> Any:
        return await self._gateway.call(
            action, {"queue_name": self.name, **body}, timeout=timeout, repeat=repeat
        )

    def _read(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Message]:
        return [Message.read(self.name, message) for message in found]


def _too_late(post: Post, safe: float, timeout: float | None) -> PostExpired | CallTimeout:
    why = f"; the gateway refused it: {post.refusal}" if post.refusal is not None else ""
    if timeout is not None and timeout < safe:
        text = f"message_post was not answered within {timeout:g} seconds{why}"
        return CallTimeout(text, outcome_unknown=post.sent)
    said = "may be stored" if post.sent else "was not sent"
    text = f"the post is too old to be repeated safely ({safe:g} seconds), and {said}{why}"
    return PostExpired(text, outcome_unknown=post.sent)
