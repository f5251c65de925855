"""Tokens: a gateway that asks for them, and a client that renews its own before they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.asynchronous import PATIENCE, asynchronous
from tests.support.gateway import Gateway as Program
from tests.support.gateway import start_gateway
from tests.support.tokens import Issuer
from zaqar_gateway_client import Closed, Forbidden, connect

SECONDS = 6.0
"""That a token lives: the client is told at half of that."""

ISSUER = Issuer.new("HS256")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A gateway that asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    with start_gateway(folder / "data", *ISSUER.arguments(folder), "--jwt-leeway", "0") as running:
        yield running


@asynchronous
async def test_one_connection_outlives_many_tokens(guarded: Program) -> None:
    asked: list[str] = []

    async def get_token() -> str:
        asked.append(ISSUER.token(project="p", seconds=SECONDS))
        return asked[-1]

    async with connect(guarded.url, project="p", get_token=get_token) as client:
        subscription = client.subscribe("ticks", from_="earliest")
        async with subscription:
            received: list[int] = []
            for number in range(12):
                await client.queue("ticks").post(number)
                async with asyncio.timeout(PATIENCE):
                    async for message in subscription:
                        received.append(message.body)
                        break
                await asyncio.sleep(SECONDS / 5)
        assert received == list(range(12))
        assert client.connections == 1
        assert len(asked) >= 4


@asynchronous
async def test_a_token_that_is_refused_ends_it(guarded: Program) -> None:
    wrong = Issuer.new("HS256").token(project="p")
    with pytest.raises((Closed, Forbidden)):
        async with connect(guarded.url, project="p", get_token=lambda: wrong, timeout=30):
            pass


@asynchronous
async def test_what_the_token_does_not_allow_is_refused_and_nothing_else(guarded: Program) -> None:
    rights = {"queues": {"open.*": ["message_post", "queue_get_stats"]}}
    token = ISSUER.token(project="p", rights=rights)
    async with connect(guarded.url, project="p", get_token=lambda: token) as client:
        await client.queue("open.door").post(1)
        with pytest.raises(Forbidden):
            await client.queue("shut").post(1)
        assert (await client.queue("open.door").stats()).total == 1
