"""What can be done with a queue, with the extension and without it, in both forms."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.asynchronous import asynchronous
from tests.support.gateway import Gateway as Program
from zaqar_gateway_client import (
    Conflict,
    FilePositions,
    Forbidden,
    MemoryPositions,
    NewMessage,
    NotFound,
    Queue,
    connect,
)
from zaqar_gateway_client.codec import FrameError, decode, encode

WAYS = [(form, extension) for form in ("json", "msgpack") for extension in (True, False)]

BODIES: list[Any] = [None, True, 2**63, -1.5, "ä\u2028𝄞", [{"a": {}}], b"\x00\xff", {"deep": [b""]}]


@asynccontextmanager
async def opened(program: Program, form: Any, extension: bool) -> AsyncIterator[Queue]:
    """A queue of a random name."""
    async with connect(program.url, project="queues", form=form, extension=extension) as gateway:
        assert gateway.extended == extension
        yield gateway.queue(f"queue-{uuid.uuid4()}")


@pytest.mark.parametrize(("form", "extension"), WAYS)
@asynchronous
async def test_messages(gateway: Program, form: str, extension: bool) -> None:
    async with opened(gateway, form, extension) as queue:
        ids = await queue.post_many([NewMessage(body, ttl=300) for body in BODIES])
        found = [message async for message in queue.messages()]
        assert [message.body for message in found] == BODIES
        assert [message.id for message in found] == ids
        assert found[0].ttl == 300
        assert (await queue.get(ids[-1])).body == BODIES[-1]
        assert [message.id for message in await queue.get_many(ids[1:3])] == ids[1:3]
        page = await queue.list(limit=3)
        assert len(page.messages) == 3
        assert [message.id for message in (await queue.list(marker=page.marker, limit=1)).messages] == [
            ids[3]
        ]
        await queue.delete_message(ids[0])
        await queue.delete_many(ids[1:3])
        popped = await queue.pop(2)
        assert [message.id for message in popped] == ids[3:5]
        with pytest.raises(NotFound):
            await queue.get(ids[0])
        await queue.purge()
        assert await queue.pop() == []


@pytest.mark.parametrize(("form", "extension"), WAYS)
@asynchronous
async def test_claims(gateway: Program, form: str, extension: bool) -> None:
    async with opened(gateway, form, extension) as queue:
        nothing = await queue.claim()
        assert not nothing
        await queue.post_many([NewMessage(number) for number in range(3)])
        claim = await queue.claim(limit=2, ttl=60)
        assert [message.body for message in claim.messages] == [0, 1]
        stats = await queue.stats()
        assert (stats.claimed, stats.free, stats.total) == (2, 1, 3)
        assert stats.oldest is not None and stats.oldest.body == 0
        with pytest.raises(Forbidden):
            await queue.delete_message(claim.messages[0].id)
        await claim.acknowledge(claim.messages[0])
        await claim.renew(120)
        await claim.release()
        with pytest.raises(NotFound):
            await claim.renew()
        assert (await queue.stats()).free == 2


@pytest.mark.parametrize(("form", "extension"), WAYS)
@asynchronous
async def test_the_queue_itself(gateway: Program, form: str, extension: bool) -> None:
    async with opened(gateway, form, extension) as queue:
        with pytest.raises(NotFound):
            await queue.stats()
        await queue.create({"team": "video"})
        await queue.create()
        assert await queue.metadata() == {"team": "video"}
        changed = await queue.update([{"op": "replace", "path": "/metadata/team", "value": "audio"}])
        assert changed["team"] == "audio"
        with pytest.raises(Conflict) as refused:
            await queue.update([{"op": "remove", "path": "/metadata/owner"}])
        assert (refused.value.status, refused.value.code) == (409, "conflict")
        assert (await queue.stats()).oldest is None
        await queue.delete()
        with pytest.raises(NotFound):
            await queue.stats()


@asynchronous
async def test_queues_are_listed_over_all_pages(gateway: Program) -> None:
    project = str(uuid.uuid4())
    async with connect(gateway.url, project=project) as client:
        assert [name async for name in client.queues()] == []
        names = [f"queue-{number:02}" for number in range(40)]
        for name in names:
            await client.queue(name).create()
        assert [name async for name in client.queues()] == names


def test_binary_values_are_told_in_json() -> None:
    assert encode({"body": b"ab"}, "json") == '{"body":{"$binary":"YWI="}}'
    assert decode('{"body":{"$binary":"YWI="},"not":{"$binary":"!"}}') == {
        "body": b"ab",
        "not": {"$binary": "!"},
    }


@pytest.mark.parametrize("frame", ["", "[]", "1", b"\xc1", b"\x01", "[" * 100_000])
def test_what_is_no_object_is_a_frame_error(frame: str | bytes) -> None:
    with pytest.raises(FrameError):
        decode(frame)


@asynchronous
async def test_positions_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "positions"
    first = FilePositions(path)
    assert await first.load("p/q") is None
    await first.save("p/q", "1")
    await first.save("p/r", "2")
    again = FilePositions(path)
    assert (await again.load("p/q"), await again.load("p/r")) == ("1", "2")
    assert os.listdir(tmp_path) == ["positions"]
    path.write_text("[]")
    with pytest.raises(ValueError, match="holds no positions"):
        await FilePositions(path).load("p/q")
    memory = MemoryPositions()
    await memory.save("p/q", "3")
    assert await memory.load("p/q") == "3"
