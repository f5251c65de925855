"""Subscriptions: from where they begin, how they go on, and what a slow reader costs."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.asynchronous import PATIENCE, asynchronous, until
from tests.support.gateway import Gateway as Program
from tests.support.scripted_server import ScriptedServer
from zaqar_gateway_client import (
    Closed,
    Conflict,
    Ended,
    ExtensionNeeded,
    FilePositions,
    Gap,
    Gateway,
    MemoryPositions,
    Message,
    NewMessage,
    Resumed,
    Subscription,
    connect,
)


async def first(subscription: Subscription, count: int) -> list[Any]:
    """The bodies of the next messages."""
    got: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        async for message in subscription:
            got.append(message.body)
            if len(got) == count:
                break
    return got


async def fill(gateway: Gateway, *bodies: Any) -> str:
    """A new queue with these messages; its name."""
    name = f"queue-{uuid.uuid4()}"
    if bodies:
        await gateway.queue(name).post_many([NewMessage(body) for body in bodies])
    else:
        await gateway.queue(name).create()
    return name


@pytest.mark.parametrize("form", ["json", "msgpack"])
@asynchronous
async def test_the_beginning_is_where_it_is_asked_for(gateway: Program, form: Any) -> None:
    async with connect(gateway.url, project="subs", form=form) as client:
        name = await fill(client, 1, 2)
        async with client.subscribe(name, from_="earliest") as all_of_it:
            assert await first(all_of_it, 2) == [1, 2]
            position = all_of_it.position
        assert position is not None
        async with client.subscribe(name) as new:
            await client.queue(name).post(b"three")
            assert await first(new, 1) == [b"three"]
        async with client.subscribe(name, from_=position) as rest:
            assert await first(rest, 1) == [b"three"]


@asynchronous
async def test_a_gap_is_told_before_what_comes_behind_it(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client, 1, 2, 3)
        async with client.subscribe(name, from_="earliest") as before:
            await first(before, 1)
            position = before.position
        await client.queue(name).pop(2)
        assert position is not None
        async with client.subscribe(name, from_=position) as behind:
            items = []
            async for item in behind.events():
                items.append(item)
                if isinstance(item, Message):
                    break
        resumed, message = items
        assert isinstance(resumed, Resumed) and isinstance(message, Message)
        assert not resumed.recovered
        assert resumed.gap is not None and resumed.gap.reason == "deleted"
        assert message.body == 3
        assert behind.gap == resumed.gap


@asynchronous
async def test_a_slow_reader_holds_few_messages_and_gets_all(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client, *range(100))
        async with client.subscribe(name, from_="earliest", max_messages=10) as slow:
            posting = asyncio.create_task(
                client.queue(name).post_many([NewMessage(n) for n in range(100, 200)])
            )
            got = []
            async for message in slow:
                got.append(message.body)
                assert slow.waiting <= 12  # ten messages, and what tells of a new beginning
                await client.ping()  # calls come through meanwhile
                if len(got) == 200:
                    break
            await posting
            assert got == list(range(200))


@asynchronous
async def test_large_messages_are_bounded_by_their_bytes(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client)
        for number in range(20):
            await client.queue(name).post([number, "x" * 10_000])
        async with client.subscribe(name, from_="earliest", max_bytes=30_000) as slow:
            got = []
            async for message in slow:
                got.append(message.body[0])
                assert slow.waiting <= 4
                await client.ping()
                if len(got) == 20:
                    break
            assert got == list(range(20))


@asynchronous
async def test_positions_survive_a_restart(gateway: Program, tmp_path: Path) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client, 1, 2, 3, 4)
    for expected in ([1, 2], [2, 3], [3, 4]):
        positions = FilePositions(tmp_path / "positions.json")
        async with (
            connect(gateway.url, project="subs", positions=positions) as client,
            client.subscribe(name, from_="earliest") as subscription,
        ):
            # The second is read, but not finished: the next one is never asked for.
            assert await first(subscription, 2) == expected


@asynchronous
async def test_one_reader_per_queue_and_again_after_it(gateway: Program) -> None:
    async with connect(gateway.url, project="subs", positions=MemoryPositions()) as client:
        name = await fill(client, 1)
        async with client.subscribe(name):
            with pytest.raises(ValueError, match="already"):
                await client.subscribe(name).start()
        async with client.subscribe(name, from_="earliest") as again:
            assert await first(again, 1) == [1]


@asynchronous
async def test_the_end_of_its_queue_is_told(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client, 1)
        async with client.subscribe(name, from_="earliest") as subscription:
            await client.queue(name).delete()
            with pytest.raises(Ended) as ended:
                await first(subscription, 2)
            assert ended.value.reason == "queue_deleted"


@asynchronous
async def test_closing_it_ends_who_reads(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        subscription = client.subscribe(await fill(client))
        await subscription.start()
        reading = asyncio.create_task(first(subscription, 1))
        await asyncio.sleep(0)
        await subscription.close()
        await subscription.close()
        assert await reading == []


@pytest.mark.parametrize("how", ["cancelled", "closed"])
@asynchronous
async def test_one_that_ends_before_it_is_answered_leaves_nothing_on_the_socket(how: str) -> None:
    async with ScriptedServer() as server:
        server.answers["subscription_create"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            subscription = gateway.subscribe("q")
            starting = asyncio.create_task(subscription.start())
            await until(lambda: "subscription_create" in server.actions())
            if how == "cancelled":
                starting.cancel()
            closing = asyncio.create_task(subscription.close())
            await asyncio.gather(starting, return_exceptions=True)
            assert starting.cancelled() == (how == "cancelled")
            with pytest.raises(ValueError, match="already"):
                await gateway.subscribe("q").start()
            body = {"subscription_id": "late", "marker": "7", "recovered": True, "gap": None}
            asked = server.requests[0]["id"]
            await server.tell(id=asked, headers={"status": 201}, body=body)
            await closing
            assert server.requests[-1]["action"] == "subscription_delete"
            assert server.requests[-1]["body"]["subscription_id"] == "late"
            assert [message async for message in subscription] == []
            assert (gateway.subscriptions, gateway.connections) == ({}, 1)


@asynchronous
async def test_it_ends_although_closing_it_is_cancelled(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        name = await fill(client)
        subscription = client.subscribe(name)
        await subscription.start()
        closing = asyncio.create_task(subscription.close())
        await asyncio.sleep(0)
        closing.cancel()
        await subscription.close()
        assert closing.cancelled()
        listed = await client.call("subscription_list", {"queue_name": name})
        assert listed["subscriptions"] == []
        async with client.subscribe(name):
            assert client.connections == 1


@asynchronous
async def test_closing_the_gateway_is_told_to_who_reads(gateway: Program) -> None:
    async with connect(gateway.url, project="subs") as client:
        reading = asyncio.create_task(first(client.subscribe(await fill(client)), 1))
        await until(lambda: client.subscriptions)
        await next(iter(client.subscriptions.values())).start()
    with pytest.raises(Closed):
        await asyncio.wait_for(reading, 10)


@asynchronous
async def test_a_lost_failover_is_told_and_followed() -> None:
    async with ScriptedServer() as server:
        server.answers["subscription_create"] = lambda request: (
            201,
            {"subscription_id": "s", "marker": "100", "recovered": True, "gap": None},
        )
        async with connect(server.url, project="p") as gateway, gateway.subscribe("q") as subscription:
            note = {"Message_Type": "Notification", "queue_name": "q", "ttl": 60}
            await server.tell(**note, body=1, marker="120", message_id="a")
            await server.tell(**note, body="seen before", marker="120", message_id="a")
            await server.tell(
                **{"event": "gap", "queue_name": "q", "from": "110", "to": "120", "reason": "failover"}
            )
            await server.tell(**note, body=2, marker="115", message_id="b")
            items = []
            async for item in subscription.events():
                items.append(item)
                if isinstance(item, Message) and item.body == 2:
                    break
            assert items[0] == Resumed("100", True, None)
            assert items[2] == Gap("110", "120", "failover")
            assert [item.body for item in items if isinstance(item, Message)] == [1, 2]
            # What ended because the node was cut off goes on where it was.
            await server.tell(
                event="subscription_ended", queue_name="q", subscription_id="s", reason="unknown"
            )
            await until(lambda: server.actions().count("subscription_create") == 2)
            assert server.requests[-1]["body"]["from"] == "115"


@asynchronous
async def test_a_subscription_that_may_be_there_already_gets_a_new_socket() -> None:
    answers = iter([(503, {"code": "outcome_unknown"}), (409, "Subscription q not created."), None])

    def create(request: dict[str, Any]) -> tuple[int, Any]:
        return next(answers, None) or (
            201,
            {"subscription_id": "s", "marker": "1", "recovered": True, "gap": None},
        )

    async with ScriptedServer() as server:
        server.answers["subscription_create"] = create
        async with connect(server.url, project="p") as gateway, gateway.subscribe("q"):
            assert len(server.sockets) == 2
        server.answers["subscription_create"] = lambda request: (409, "Subscription q not created.")
        async with connect(server.url, project="p") as gateway:
            with pytest.raises(Conflict):
                await gateway.subscribe("q").start()


@asynchronous
async def test_without_the_extension_only_what_is_new_comes_and_a_slow_reader_ends(gateway: Program) -> None:
    async with connect(gateway.url, project="subs", extension=False) as client:
        name = await fill(client, 0)
        with pytest.raises(ExtensionNeeded):
            await client.subscribe(name, from_="earliest").start()
    async with (
        connect(gateway.url, project="subs", extension=False) as client,
        client.subscribe(name, max_messages=3) as subscription,
    ):
        for number in range(1, 6):
            await client.queue(name).post(number)
        await until(lambda: subscription.waiting == 3)
        with pytest.raises(Ended) as ended:
            await first(subscription, 5)
        assert ended.value.reason == "overflow"
