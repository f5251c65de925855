"""The client through a proxy that cuts, closes, stalls and half-opens its connections at random."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.asynchronous import PATIENCE, asynchronous, until
from tests.support.chaos_proxy import ChaosProxy
from tests.support.gateway import Gateway as Program
from zaqar_gateway_client import Gateway, Message, Resumed, connect

SIZES = [pytest.param(1_000, 10), pytest.param(10_000, 100, marks=pytest.mark.long)]
"""Messages, and faults while they are on their way."""

PACE = 0.04
"""Seconds in which ten messages are posted."""

HEARTBEAT = 0.3
"""Seconds: what is half-open is to be noticed soon."""


@asynccontextmanager
async def chaos(program: Program, cuts: int) -> AsyncIterator[tuple[ChaosProxy, str]]:
    """A proxy to the gateway, and the URL of the way through it."""
    parts = urlsplit(program.url)
    assert parts.hostname is not None and parts.port is not None
    async with ChaosProxy(parts.hostname, parts.port, seed=cuts, cuts=cuts, mean_seconds=0.4) as proxy:
        yield proxy, f"ws://127.0.0.1:{proxy.port}/"


def through(url: str) -> Gateway:
    return connect(url, project="chaos", heartbeat=HEARTBEAT, timeout=60)


async def post_all(poster: Gateway, queue: str, messages: int, proxy: ChaosProxy, cuts: int) -> int:
    """Post 0, 1, 2..., at least `messages`, and on until all faults have been; how many."""
    posting: set[asyncio.Task[str]] = set()
    number = 0
    while number < messages or len(proxy.faults) < cuts:
        posting.add(asyncio.create_task(poster.queue(queue).post(number)))
        number += 1
        if number % 10 == 0:  # spread over the time that the faults need
            await asyncio.sleep(PACE)
        while len(posting) > 200:
            _, posting = await asyncio.wait(posting, return_when=asyncio.FIRST_COMPLETED)
    ids = await asyncio.gather(*posting)
    assert len(set(ids)) == len(ids)
    return number


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("messages", "cuts"), SIZES)
@asynchronous
async def test_what_is_posted_comes_once_and_in_order(gateway: Program, messages: int, cuts: int) -> None:
    queue = f"order-{uuid.uuid4()}"
    async with (
        chaos(gateway, cuts) as (proxy, url),
        through(url) as poster,
        through(url) as reader,
        reader.subscribe(queue, from_="earliest", max_messages=300) as subscription,
    ):
        got: list[Message] = []
        resumed: list[Resumed] = []

        async def read() -> None:
            async for item in subscription.events():
                if isinstance(item, Message):
                    got.append(item)
                elif isinstance(item, Resumed):
                    resumed.append(item)

        reading = asyncio.create_task(read())
        posted = await post_all(poster, queue, messages, proxy, cuts)
        await until(lambda: len(got) >= posted or reading.done(), 3 * PATIENCE)
        reading.cancel()
        assert [message.body for message in got] == list(range(posted))
        assert all(item.recovered and item.gap is None for item in resumed)
        assert len(resumed) > 1
        assert len(proxy.faults) >= cuts
        assert poster.connections + reader.connections > cuts // 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("messages", "cuts"), SIZES)
@asynchronous
async def test_work_is_done_at_least_once_and_never_by_two_at_a_time(
    gateway: Program, messages: int, cuts: int
) -> None:
    queue = f"work-{uuid.uuid4()}"
    handled: Counter[int] = Counter()
    working: dict[int, str] = {}
    all_done = asyncio.Event()

    def worker(name: str) -> tuple[Gateway, str]:
        return through(url), name

    async with chaos(gateway, cuts) as (proxy, url), connect(gateway.url, project="chaos") as direct:

        async def work(name: str) -> None:
            async def handle(message: Message) -> None:
                number = message.body
                assert number not in working, f"{number}: {name} and {working[number]}"
                working[number] = name
                try:
                    # A handler may use the client; the answer comes through the same chaos.
                    if number % 50 == 0:
                        await mine.queue(queue).stats()
                    await asyncio.sleep(0.001)
                finally:
                    del working[number]
                handled[number] += 1

            async with through(url) as mine, mine.consume(queue, handle, concurrency=8) as consumer:
                await all_done.wait()
                assert consumer.failed == 0

        workers = [asyncio.create_task(work(name)) for name in ("one", "two")]
        posted = await post_all(direct, queue, messages, proxy, cuts)
        while (await direct.queue(queue).stats()).total or len(handled) < posted:
            assert not any(worker.done() for worker in workers), [worker.exception() for worker in workers]
            await asyncio.sleep(0.05)
        all_done.set()
        await asyncio.gather(*workers)
        assert set(handled) == set(range(posted))
        assert len(proxy.faults) >= cuts
