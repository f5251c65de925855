"""How many SQL statements an action costs, on a queue that the node knows.

::

    python -m bench.statements [--calls 1000] [--catalog-url URL] [--redis-url URL]

Runs a gateway inside this process, on its embedded stores unless told otherwise, and counts what its engine
executes while a client calls each action. What the node does by itself meanwhile (comparing its routes with
the catalog, sweeping) is counted apart, while nobody calls anything.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from websockets.sync.client import ClientConnection, connect

from gateway import logs
from gateway.service import Gateway
from gateway.settings import Settings

QUIET = 15.0
"""Seconds during which the node is left alone: longer than its longest interval but the sweeper's."""

HEADERS = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "bench"}

MESSAGE = {"body": "x" * 98, "ttl": 3600}

CALLS: Mapping[str, Mapping[str, Any]] = {
    "message_post": {"messages": [MESSAGE]},
    "message_list": {},
    "claim_create": {},
    "message_delete_many": {"pop": 10},
    "queue_get": {},
    "queue_get_stats": {},
    "subscription_list": {},
}
"""Actions on a known queue, with what their bodies hold beside its name."""


class Counter:
    """Counts the statements that any engine of this process executes."""

    def __init__(self) -> None:
        self.count = 0
        event.listen(Engine, "before_cursor_execute", self._executed)

    def _executed(self, *_: object) -> None:
        self.count += 1


def call(socket: ClientConnection, action: str, body: Mapping[str, Any]) -> None:
    """One request, and its answer."""
    socket.send(json.dumps({"action": action, "headers": HEADERS, "body": body}))
    reply = json.loads(socket.recv())
    if reply["headers"]["status"] >= 300:
        raise RuntimeError(f"{action}: {reply['body']}")


def count_calls(url: str, calls: int, counter: Counter) -> dict[str, float]:
    """Statements per call of each action."""
    found: dict[str, float] = {}
    with connect(url) as socket:
        numbers = itertools.count()
        for action, messages in (("queue_create", {}), ("message_post", {"messages": [MESSAGE]})):
            before = counter.count
            for _ in range(calls):
                call(socket, action, {"queue_name": f"queue-{next(numbers)}", **messages})
            found[f"{action} (new queue)"] = (counter.count - before) / calls
        for action, body in CALLS.items():
            before = counter.count
            for _ in range(calls):
                call(socket, action, {"queue_name": "queue-0", **body})
            found[action] = (counter.count - before) / calls
    before = counter.count
    time.sleep(QUIET)
    found[f"(nobody calls, {QUIET:.0f} s)"] = counter.count - before
    return found


async def measure(reactor: Any, arguments: argparse.Namespace, folder: Path) -> None:
    """Measure and print."""
    logs.configure("error", "text")
    settings = Settings(
        data_dir=folder, port=0, catalog_url=arguments.catalog_url, redis_url=arguments.redis_url
    )
    gateway = Gateway(reactor, settings)
    counter = Counter()
    try:
        await gateway.start()
        found = await deferToThread(count_calls, gateway.url, arguments.calls, counter)
    finally:
        await gateway.stop()
    print(f"SQL statements per call, {arguments.calls} calls each")
    for action, statements in found.items():
        print(f"  {action:28} {statements:8.3f}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument(
        "--catalog-url", help="a database whose schema is there (zaqar-gateway catalog upgrade)"
    )
    parser.add_argument("--redis-url")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        react(lambda reactor: Deferred.fromCoroutine(measure(reactor, arguments, Path(folder))))


if __name__ == "__main__":
    main()
