"""What the store announces about queues (sharded pub/sub), for those who asked to hear of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from storage.encryption import Keyring
from storage.events import Event
from storage.records import Queue
from storage.redis.encrypted_records import decrypt, is_encrypted
from storage.redis.records import unpack_event
from storage.redis.runner import channel
from storage.redis.topology import event_client


class RedisEvents:
    """Announcements of one pool. Both callbacks get the incarnation of the queue.

    `on_listening` is called whenever the server confirms that it will announce, also after a lost connection:
    whatever was announced before that moment may have been missed. What is encrypted is read by `keyring`.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        timeout: float,
        on_event: Callable[[int, Event], None],
        on_listening: Callable[[int], None],
        keyring: Keyring | None = None,
    ) -> None:
        self._keyring = keyring or Keyring()
        self._incarnations: dict[bytes, int] = {}
        self._listeners: Counter[bytes] = Counter()
        self._on_event = on_event
        self._on_listening = on_listening
        self._client = event_client(reactor, url, timeout, self._told, self._heard)

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection breaks."""
        self._client.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._client.stop()

    def listen(self, queue: Queue) -> None:
        """Hear of a queue from now on, until `leave` was called as often.

        Each call is followed by `on_listening`.
        """
        name = channel(queue)
        self._incarnations[name] = queue.incarnation
        self._listeners[name] += 1
        self._client.listen(name)

    def leave(self, queue: Queue) -> None:
        """Hear of a queue no more, unless somebody else listens."""
        name = channel(queue)
        self._listeners[name] -= 1
        if self._listeners[name] < 1:
            del self._listeners[name]
            if self._incarnations.pop(name, None) is not None:
                self._client.leave(name)

    def _told(self, name: bytes, payload: bytes) -> None:
        incarnation = self._incarnations.get(name)
        if incarnation is not None:
            self._on_event(incarnation, unpack_event(payload, partial(self._decrypted, incarnation)))

    def _decrypted(self, incarnation: int, record: bytes) -> bytes:
        return decrypt(record, incarnation, self._keyring) if is_encrypted(record) else record

    def _heard(self, name: bytes) -> None:
        incarnation = self._incarnations.get(name)
        if incarnation is not None:
            self._on_listening(incarnation)
