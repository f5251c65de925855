"""A proxy between clients and the gateway that breaks connections at random, from a seed.

As a program, it listens on a free port of 127.0.0.1, prints that on the first line, then one JSON line for
each fault, and ends on SIGTERM or when its stdin closes::

    python tests/support/chaos_proxy.py --target 127.0.0.1:9000 --seed 1 --cuts 100 --mean-seconds 0.5

In a test::

    async with ChaosProxy("127.0.0.1", port, seed=1, cuts=100, mean_seconds=0.5) as proxy:
        client = connect(f"ws://127.0.0.1:{proxy.port}/")

It imports nothing but the standard library, so it runs from any Python.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

Fault = Literal["cut", "close", "stall", "half-open"]
"""What is done to a connection.

- `cut`: both ends get a reset (RST); what was on its way is lost.
- `close`: both ends are closed in order (FIN), without WebSocket's own goodbye.
- `stall`: nothing flows either way for a while, then `cut`.
- `half-open`: one direction, drawn at random, is swallowed. Nothing is closed until the client goes.
"""

Direction = Literal["to target", "from target"]

FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)

_CHUNK: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of 0 seconds: close() sends RST


@dataclass(eq=False)
class _Connection:
    number: int
    client: asyncio.StreamWriter
    target: asyncio.StreamWriter
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    swallowed: Direction | None = None

    def reset(self) -> None:
        for writer in (self.client, self.target):
            plug = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it is closed already
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self.flows.set()  # what is stalled meets the reset

    def close(self) -> None:
        self.client.close()
        self.target.close()


class ChaosProxy:
    """Forwards TCP connections from a free port of 127.0.0.1, and breaks them until `cuts` faults are done.

    :param seed: two proxies with the same seed draw the same faults in the same order.
    :param mean_seconds: how long a connection lives on average before its fault (exponentially distributed);
        a stall lasts as long on average.
    :param tell: is called with each fault as it is done.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        seed: int = 0,
        cuts: int = 0,
        mean_seconds: float = 1.0,
        tell: Callable[[dict[str, object]], None] = lambda fault: None,
    ) -> None:
        self.port = 0
        self.faults: list[dict[str, object]] = []
        """What was done so far."""
        self._target = (host, port)
        self._random = random.Random(seed)
        self._cuts = cuts
        self._mean = mean_seconds
        self._tell = tell
        self._accepted = 0
        self._refusing = False
        self.hang = False
        """Whether new connections are taken, and nothing flows on them."""
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def strike(self, fault: Fault) -> None:
        """Do this to all open connections now; it counts as one of `cuts`."""
        for connection in list(self._connections):
            self._start(self._break(connection, fault))

    def refuse(self) -> None:
        """Reset all connections, and new ones as they come, until `heal`."""
        self._refusing = True
        for connection in list(self._connections):
            connection.reset()

    def heal(self) -> None:
        """Take connections again."""
        self._refusing = False

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._refusing:
            client.transport.abort()
            return
        try:
            from_target, target = await asyncio.open_connection(*self._target)
        except OSError:  # the target is down, as for a client without a proxy
            client.transport.abort()
            return
        self._accepted += 1
        connection = _Connection(self._accepted, client, target)
        if not self.hang:
            connection.flows.set()
        self._connections.add(connection)
        try:
            await self._serve(connection, from_client, from_target)
        except asyncio.CancelledError:
            pass  # the proxy ends; before Python 3.12 asyncio takes a cancelled handler for a failed one
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _serve(
        self, connection: _Connection, from_client: asyncio.StreamReader, from_target: asyncio.StreamReader
    ) -> None:
        there = self._start(self._pump(connection, "to target", from_client, connection.target))
        back = self._start(self._pump(connection, "from target", from_target, connection.client))
        chaos = self._start(self._chaos(connection))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            if (
                connection.swallowed is not None
            ):  # that the target has gone is not told: only the client can end it
                there.cancel()
                await asyncio.wait((there,))
                with contextlib.suppress(OSError):
                    while await from_client.read(_CHUNK):
                        pass
        finally:
            for task in (there, back, chaos):
                task.cancel()

    async def _pump(
        self,
        connection: _Connection,
        direction: Direction,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
    ) -> None:
        with contextlib.suppress(OSError):  # a reset is an end
            while data := await source.read(_CHUNK):
                await connection.flows.wait()
                if connection.swallowed != direction:
                    sink.write(data)
                    await sink.drain()

    async def _chaos(self, connection: _Connection) -> None:
        if len(self.faults) >= self._cuts:
            return
        await asyncio.sleep(self._random.expovariate(1 / self._mean))
        if len(self.faults) < self._cuts:
            await self._break(connection, self._random.choice(FAULTS))

    async def _break(self, connection: _Connection, fault: Fault) -> None:
        done: dict[str, object] = {"fault": fault, "connection": connection.number}
        if fault == "half-open":
            connection.swallowed = self._random.choice(DIRECTIONS)
            done["swallowed"] = connection.swallowed
        elif fault == "stall":
            done["seconds"] = round(self._random.expovariate(1 / self._mean), 3)
        self.faults.append(done)
        self._tell(done)
        if fault == "close":
            connection.close()
        elif fault == "cut":
            connection.reset()
        elif fault == "stall":
            connection.flows.clear()
            await asyncio.sleep(float(str(done["seconds"])))
            connection.reset()


async def _run(options: argparse.Namespace) -> None:
    host, _, port = options.target.rpartition(":")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), _CHUNK):
            loop.remove_reader(sys.stdin.fileno())
            ended.set()

    with contextlib.suppress(
        PermissionError
    ):  # a file or /dev/null cannot be waited for: only signals end it
        loop.add_reader(sys.stdin.fileno(), read)
    proxy = ChaosProxy(
        host,
        int(port),
        seed=options.seed,
        cuts=options.cuts,
        mean_seconds=options.mean_seconds,
        tell=lambda fault: print(json.dumps(fault), flush=True),
    )
    async with proxy:
        print(proxy.port, flush=True)
        await ended.wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Forward TCP connections and break them at random.")
    parser.add_argument("--target", metavar="HOST:PORT", required=True, help="where to forward to")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices; default: 0")
    parser.add_argument(
        "--cuts", type=int, default=0, help="faults, after which nothing is broken; default: 0"
    )
    parser.add_argument(
        "--mean-seconds",
        type=float,
        default=1.0,
        help="mean life of a connection until its fault; default: 1",
    )
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
