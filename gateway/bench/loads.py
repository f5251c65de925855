"""The loads: what the sockets do until the time is up."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias, TypeVar

from msgspec import Raw, Struct, ValidationError, json
from twisted.internet.defer import Deferred, DeferredList, FirstError, TimeoutError

from gateway.bench.client import TIMEOUT, BenchError, Client, ClientFactory, Reply
from gateway.bench.figures import Progress
from gateway.bench.options import Options

Result = TypeVar("Result")

Working: TypeAlias = Coroutine[Deferred[Any], Any, Result]
"""A coroutine that waits for Twisted."""

AT_ONCE = 50
"""Sockets that are opened at the same time."""

BATCH = 10
"""Messages that one turn of `claim` handles, and that `resume` misses."""


class Numbered(Struct, frozen=True):
    """A message that says which one it is."""

    n: int


_numbered = json.Decoder(Numbered).decode


async def gather(coroutines: Iterable[Working[Any]]) -> list[Any]:
    """Run coroutines side by side; raises what the first one to fail raised."""
    running = [Deferred.fromCoroutine(one) for one in coroutines]
    try:
        return [
            result for _, result in await DeferredList(running, fireOnOneErrback=True, consumeErrors=True)
        ]
    except FirstError as error:
        error.subFailure.raiseException()
        raise


class Bench:
    """One load at work.

    After `run`, `latencies` holds the seconds of each operation by action, `refused` how often which status
    came that is no success, and `spent` the seconds that were measured.
    """

    def __init__(self, reactor: Any, options: Options, progress: Progress) -> None:
        self.latencies: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self.spent = 0.0
        self._reactor = reactor
        self._options = options
        self._progress = progress
        self._factory = ClientFactory(reactor, options)
        self._queue = f"bench-{uuid.uuid4().hex[:12]}"
        self._stopped = False
        self._began = 0.0

    def stop(self) -> None:
        """End the load early."""
        self._stopped = True

    async def run(self) -> None:
        """Open the sockets, do the load, remove its queue. Raises `BenchError` if it cannot go on."""
        control = await self._factory.connect()
        await self._must(control, "queue_create", {"queue_name": self._queue})
        try:
            clients = await self._connect(self._options.sockets)
            loads: dict[str, Callable[[Client, list[Client]], Working[None]]] = {
                "post": self._post,
                "claim": self._claim,
                "fanout": self._fanout,
                "resume": self._resume,
            }
            self._began = time.perf_counter()
            await loads[self._options.load](control, clients)
        finally:
            self._progress.show(1, "removing the queue")
            await self._must(control, "queue_delete", {"queue_name": self._queue})
            self._progress.clear()

    # The loads

    async def _post(self, control: Client, clients: list[Client]) -> None:
        body = {"queue_name": self._queue, "messages": [{"ttl": 300, "body": self._text()}]}

        async def post(client: Client) -> None:
            while self._goes_on():
                await self._timed(client, "message_post", body)

        await gather(post(client) for client in clients for _ in range(self._options.outstanding))
        self.spent = time.perf_counter() - self._began

    async def _claim(self, control: Client, clients: list[Client]) -> None:
        queue = {"queue_name": self._queue}
        posted = {**queue, "messages": [{"ttl": 300, "body": self._text()}] * BATCH}

        async def work(client: Client) -> None:
            while self._goes_on():
                await self._timed(client, "message_post", posted)
                reply = await self._timed(
                    client, "claim_create", {**queue, "ttl": 60, "grace": 60, "limit": BATCH}
                )
                if reply.status != 201:
                    continue
                claim = {**queue, "claim_id": reply.field("claim_id")}
                ids = [message["id"] for message in reply.field("messages")]
                await gather(self._timed(client, "message_delete", {**claim, "message_id": id}) for id in ids)

        await gather(work(client) for client in clients)
        self.spent = time.perf_counter() - self._began

    async def _fanout(self, control: Client, clients: list[Client]) -> None:
        latencies = self.latencies.setdefault("delivery", [])
        sent = 0.0
        number = missing = 0
        complete: Deferred[None] = Deferred()

        def arrived(body: Raw) -> None:
            nonlocal missing
            if _number(body) == number:  # upstream may deliver twice, and late
                latencies.append(time.perf_counter() - sent)
                missing -= 1
                if missing == 0:
                    complete.callback(None)

        for client in clients:
            client.on_notification = arrived
        await gather(self._subscribe(client) for client in clients)
        self._began = time.perf_counter()
        while self._goes_on():
            number += 1
            missing = len(clients)
            complete = Deferred()
            complete.addTimeout(TIMEOUT, self._reactor, _lost(number))
            sent = time.perf_counter()
            await self._timed(control, "message_post", self._post_of([number]))
            await complete
        self.spent = time.perf_counter() - self._began

    async def _resume(self, control: Client, clients: list[Client]) -> None:
        latencies = self.latencies.setdefault("resume", [])
        await gather(self._subscribe(client) for client in clients)
        posted = await self._must(control, "message_post", self._post_of([0]))
        marker = posted.field("message_ids")[-1]
        missed = range(1)
        self._began = time.perf_counter()
        while self._goes_on():
            await gather(client.drop() for client in clients)
            missed = range(missed.stop, missed.stop + BATCH)
            posted = await self._must(control, "message_post", self._post_of(missed))

            async def come_back(marker: str = marker, missed: range = missed) -> Client:
                started = time.perf_counter()
                client = await self._factory.connect()
                if client.extended:
                    await self._resubscribe(client, marker, missed)
                else:
                    await self._subscribe(client)
                    await self._list_missed(client, marker, missed)
                latencies.append(time.perf_counter() - started)
                return client

            started = time.perf_counter()
            clients = await self._in_turns(come_back, len(clients))
            self.spent += time.perf_counter() - started
            marker = posted.field("message_ids")[-1]

    async def _resubscribe(self, client: Client, marker: str, missed: range) -> None:
        """Subscribe from behind the marker, and be pushed what was missed."""
        left = set(missed)
        complete: Deferred[None] = Deferred()

        def pushed(body: Raw) -> None:
            left.discard(_number(body) or 0)
            if not left and not complete.called:
                complete.callback(None)

        client.on_notification = pushed
        body = {"queue_name": self._queue, "ttl": 3600, "from": marker}
        await self._must(client, "subscription_create", body)
        try:
            await complete.addTimeout(TIMEOUT, self._reactor)
        except TimeoutError:
            raise BenchError("a socket that came back was not pushed all that it had missed") from None

    async def _list_missed(self, client: Client, marker: str, missed: range) -> None:
        """Read what was missed, where a subscription cannot begin behind a marker."""
        page = {"queue_name": self._queue, "marker": marker, "limit": 20, "echo": True}
        reply = await self._must(client, "message_list", page)
        # Upstream lists a marker's message again if it is the first of the queue.
        found = {message["body"]["n"] for message in reply.field("messages")}
        if not found.issuperset(missed):
            raise BenchError("a socket that came back did not find all that it had missed")

    # What they are made of

    def _goes_on(self) -> bool:
        passed = time.perf_counter() - self._began
        counts = ", ".join(f"{len(seen)} {action}" for action, seen in self.latencies.items())
        self._progress.show(passed / self._options.seconds, counts)
        return not self._stopped and passed < self._options.seconds

    def _text(self) -> str:
        return "x" * (self._options.size - 2)

    def _post_of(self, numbers: Iterable[int]) -> dict[str, Any]:
        """A post of messages that say which they are, of the size that is wanted."""
        bodies = [{"n": n, "x": ""} for n in numbers]
        for body in bodies:
            body["x"] = "x" * (self._options.size - len(json.encode(body)))
        return {"queue_name": self._queue, "messages": [{"ttl": 300, "body": body} for body in bodies]}

    async def _connect(self, count: int) -> list[Client]:
        return await self._in_turns(self._factory.connect, count)

    async def _in_turns(self, make: Callable[[], Working[Client]], count: int) -> list[Client]:
        clients: list[Client] = []

        async def some(count: int) -> None:
            for _ in range(count):
                clients.append(await make())
                if self._options.load != "resume":
                    self._progress.show(
                        len(clients) / self._options.sockets, f"{len(clients)} sockets are open"
                    )

        lanes = min(AT_ONCE, count)
        await gather(some(count // lanes + (lane < count % lanes)) for lane in range(lanes))
        return clients

    async def _subscribe(self, client: Client) -> None:
        await self._must(client, "subscription_create", {"queue_name": self._queue, "ttl": 3600})

    async def _must(self, client: Client, action: str, body: dict[str, Any]) -> Reply:
        reply = await client.request(action, body)
        if not 200 <= reply.status < 300:
            raise BenchError(f"the server refused {action}: {reply.told()}")
        return reply

    async def _timed(self, client: Client, action: str, body: dict[str, Any]) -> Reply:
        started = time.perf_counter()
        reply = await client.request(action, body)
        if 200 <= reply.status < 300:
            self.latencies.setdefault(action, []).append(time.perf_counter() - started)
        else:
            self.refused[f"{action} {reply.status}"] += 1
            if not self.latencies.get(action) and self.refused[f"{action} {reply.status}"] > 10:
                raise BenchError(f"the server refused {action}: {reply.told()}")
        return reply


def _number(body: Raw) -> int | None:
    try:
        return _numbered(body).n
    except ValidationError:  # a message of somebody else's
        return None


def _lost(number: int) -> Callable[[Any, float], Any]:
    def late(result: Any, timeout: float) -> Any:
        raise BenchError(f"not every subscriber had message {number} within {timeout:.0f} seconds")

    return late
