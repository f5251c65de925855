"""The Python client with OpenStack Zaqar from PyPI: what needs no extension works there too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.asynchronous import PATIENCE, asynchronous
from zaqar_gateway_client import (
    ConnectionLost,
    ExtensionNeeded,
    NewMessage,
    NotFound,
    Resumed,
    connect,
)


@pytest.mark.timeout(720)  # pip installs the server
@pytest.mark.parametrize("form", ["json", "msgpack"])
@asynchronous
async def test_what_needs_no_extension_works(upstream: str, form: Any) -> None:
    async with connect(upstream, project="demo", form=form) as gateway:
        assert not gateway.extended
        jobs = gateway.queue("jobs")
        await jobs.create({"team": "video"})
        assert (await jobs.metadata())["team"] == "video"
        ids = await jobs.post_many([NewMessage(body, ttl=300) for body in ("first", "second", "third")])
        stats = await jobs.stats()
        assert (stats.free, stats.claimed, stats.total) == (3, 0, 3)
        assert [message.body async for message in jobs.messages()] == ["first", "second", "third"]
        assert (await jobs.get(ids[0])).body == "first"
        claim = await jobs.claim(limit=1, ttl=60)
        assert [message.body for message in claim.messages] == ["first"]
        await claim.renew(120)
        await claim.acknowledge(claim.messages[0])
        await claim.release()
        assert [message.body for message in await jobs.pop(1)] == ["second"]
        with pytest.raises(NotFound):
            await jobs.get(ids[0])
        assert [name async for name in gateway.queues()] == ["jobs"]

        with pytest.raises(ExtensionNeeded):
            await gateway.subscribe("jobs", from_="earliest").start()
        with pytest.raises(ExtensionNeeded):
            await gateway.consume("jobs", lambda message: asyncio.sleep(0)).start()

        async with asyncio.timeout(PATIENCE), gateway.subscribe("news") as news:
            # Calls side by side get their own answers.
            await asyncio.gather(
                gateway.queue("news").post({"hello": "world"}), *(jobs.stats() for _ in range(20))
            )
            items = news.events()
            assert await anext(items) == Resumed("", True, None)
            message = await anext(items)
            assert message.body == {"hello": "world"}  # type: ignore[union-attr]  # it is a message
            (await gateway.link.connected()).abort()
            again = await anext(items)
            assert again == Resumed("", False, None)
            try:
                await gateway.queue("news").post("after the cut")
            except ConnectionLost as lost:
                raise AssertionError from lost
            after = await anext(items)
            assert after.body == "after the cut"  # type: ignore[union-attr]  # it is a message
        await jobs.delete()
