"""Queues that encrypt, over nodes that have their key, another one, or both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from storage.encryption import EncryptionKey, Keyring
from storage.records import Consumer, DeadLetter, Queue
from storage.redis.store import RedisStore
from tests.support.reactor import run
from tests.support.servers import Server
from tests.support.store import LiveQueue, connected_to, new_claim

KEY, OTHER = EncryptionKey("2025", os.urandom(32)), EncryptionKey("2026", os.urandom(32))
SECRET = "the plain text"
ASIDE = 30
"""Seconds that a message which a node cannot read is kept out of its way."""

RULE = DeadLetter(0, "dead", None)


@pytest.fixture
def store(store_server: Server) -> Iterator[RedisStore]:
    """A store with a key."""
    with connected_to(store_server.url, keyring=Keyring([KEY])) as started:
        yield started


@pytest.fixture
def jobs(store: RedisStore) -> LiveQueue:
    """A queue that encrypts."""
    return encrypting(LiveQueue(store))


@pytest.fixture
def stranger(store_server: Server, jobs: LiveQueue) -> Iterator[LiveQueue]:
    """The same queue over a node with another key."""
    with connected_to(store_server.url, keyring=Keyring([OTHER])) as started:
        yield jobs.through(started)


@pytest.fixture
def both(store_server: Server, jobs: LiveQueue) -> Iterator[LiveQueue]:
    """The same over a node that has both keys, and encrypts by the other."""
    with connected_to(store_server.url, keyring=Keyring([OTHER, KEY])) as started:
        yield jobs.through(started)


def encrypting(live: LiveQueue, value: bool | None = True) -> LiveQueue:
    live.queue = replace(live.queue, metadata={"_enable_encrypt_messages": value})
    return live


def stored(server: Server, queue: Queue) -> bytes:
    """All that the server has in the keys of a queue."""
    client = server.client()
    return b"".join(client.dump(key) or b"" for key in client.scan_iter(b"*%016x*" % queue.incarnation))


def records(server: Server, live: LiveQueue) -> dict[bytes, bytes]:
    """The queue's records as the server has them, by sequence."""
    client: Any = server.client()  # its types say that it may answer text
    found: dict[bytes, bytes] = client.hgetall(b"zg:{%016x}:messages" % live.queue.incarnation)
    return found


def consumer() -> Consumer:
    return Consumer(new_claim(), os.urandom(8), 60, 60, 10)


def deliver(jobs: LiveQueue, dead: LiveQueue) -> int:
    """Bring all that waits to its queue; how many there were."""
    letters = run(jobs.store.waiting_dead_letters, jobs.queue, 100)
    for letter in letters:
        run(jobs.store.deliver_dead_letter, jobs.queue, letter, dead.queue)
        run(jobs.store.forget_dead_letter, jobs.queue, letter)
    return len(letters)
