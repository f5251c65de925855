"""The proxy that breaks connections: what each fault is to both ends, and that it ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.chaos_proxy import ChaosProxy

PROGRAM = Path(__file__).with_name("chaos_proxy.py")
PATIENCE = 30.0


class Echo:
    """A server that answers what it gets, and notes how its connections end."""

    def __init__(self) -> None:
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
            self.ends.put_nowait("closed")
        except ConnectionResetError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()


async def end_of(reader: asyncio.StreamReader) -> str:
    """How the connection ends."""
    try:
        assert await asyncio.wait_for(reader.read(100), PATIENCE) == b""
    except ConnectionResetError:
        return "reset"
    return "closed"


def through(
    test: Callable[[ChaosProxy, Echo, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    """Run `test` on a connection through a proxy to an echo server."""

    async def run() -> None:
        echo = Echo()
        server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ChaosProxy("127.0.0.1", port, seed=1, mean_seconds=0.01) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), PATIENCE) == b"hello"
            await test(proxy, echo, reader, writer)
            writer.close()
        server.close()

    asyncio.run(run())


@pytest.mark.parametrize(("fault", "end"), [("cut", "reset"), ("close", "closed"), ("stall", "reset")])
def test_both_ends_see_the_end(fault: str, end: str) -> None:
    async def test(
        proxy: ChaosProxy, echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        proxy.strike(fault)  # type: ignore[arg-type]  # one of them
        assert await end_of(reader) == end
        assert await asyncio.wait_for(echo.ends.get(), PATIENCE) == end
        assert [done["fault"] for done in proxy.faults] == [fault]

    through(test)


def test_a_half_open_connection_swallows_until_the_client_goes() -> None:
    async def test(
        proxy: ChaosProxy, echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        proxy.strike("half-open")
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert proxy.connections == 1
        writer.close()
        assert await asyncio.wait_for(echo.ends.get(), PATIENCE) == "closed"

    through(test)


def test_what_is_refused_comes_through_when_healed() -> None:
    async def test(
        proxy: ChaosProxy, echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        proxy.refuse()
        assert await end_of(reader) == "reset"
        refused, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await end_of(refused) in ("reset", "closed")
        proxy.heal()
        again, to = await asyncio.open_connection("127.0.0.1", proxy.port)
        to.write(b"back")
        assert await asyncio.wait_for(again.readexactly(4), PATIENCE) == b"back"
        to.close()

    through(test)


def test_the_program_tells_its_faults_and_then_forwards_untouched() -> None:
    async def run() -> None:
        echo = Echo()
        server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), "--target", f"127.0.0.1:{port}"),
            *("--seed", "3", "--cuts", "3", "--mean-seconds", "0.02"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        own = int(await asyncio.wait_for(proxy.stdout.readline(), PATIENCE))
        for number in range(1, 4):
            _, writer = await asyncio.open_connection("127.0.0.1", own)
            fault = json.loads(await asyncio.wait_for(proxy.stdout.readline(), PATIENCE))
            assert fault["connection"] == number
            assert fault["fault"] in ("cut", "close", "stall", "half-open")
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        writer.write(b"safe")
        assert await asyncio.wait_for(reader.readexactly(4), PATIENCE) == b"safe"
        proxy.stdin.close()
        assert await asyncio.wait_for(proxy.wait(), PATIENCE) == 0
        writer.close()
        server.close()

    asyncio.run(run())
