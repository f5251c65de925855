"""Posts that wait: bounds, order, and that a cut neither loses nor doubles them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.asynchronous import asynchronous, until
from tests.support.chaos_proxy import ChaosProxy
from tests.support.gateway import Gateway as Program
from tests.support.scripted_server import LIMITS, ScriptedServer
from zaqar_gateway_client import (
    BadRequest,
    CallTimeout,
    Closed,
    ConnectionLost,
    NewMessage,
    OutboxFull,
    PostExpired,
    connect,
)


def posted(request: dict[str, Any]) -> tuple[int, Any]:
    return 201, {"message_ids": [message["dedup_id"] for message in request["body"]["messages"]]}


def bodies(server: ScriptedServer) -> list[Any]:
    return [message["body"] for request in server.requests for message in request["body"]["messages"]]


@asynchronous
async def test_a_post_during_a_cut_is_stored_once(gateway: Program) -> None:
    host, port = gateway.url.split("/")[2].split(":")
    async with (
        ChaosProxy(host, int(port)) as proxy,
        connect(f"ws://127.0.0.1:{proxy.port}/", project="cut") as client,
    ):
        queue = client.queue("posts")
        proxy.refuse()
        waiting = [asyncio.create_task(queue.post(number)) for number in range(100)]
        await until(lambda: not client.is_connected)
        assert client.outbox.messages == 100
        proxy.heal()
        ids = await asyncio.gather(*waiting)
        assert (client.outbox.messages, client.outbox.bytes) == (0, 0)
        stored = [message async for message in queue.messages()]
        assert [message.id for message in stored] == ids
        assert [message.body for message in stored] == list(range(100))


@asynchronous
async def test_a_post_whose_answer_is_lost_is_repeated_with_the_same_ids() -> None:
    async with ScriptedServer() as server:
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            waiting = [asyncio.create_task(gateway.queue("q").post(number)) for number in range(3)]
            await until(lambda: len(server.requests) == 3)
            server.answers["message_post"] = posted
            server.sockets[0].transport.abort()
            await asyncio.gather(*waiting)
    assert bodies(server) == [0, 1, 2, 0, 1, 2]
    ids = [request["body"]["messages"][0]["dedup_id"] for request in server.requests]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3


@asynchronous
async def test_posts_go_on_in_order_when_the_store_is_back() -> None:
    async with ScriptedServer() as server:
        refusals = iter([True, True, False])
        busy = (503, {"error": "busy", "code": "store_busy"})
        server.answers["message_post"] = lambda request: busy if next(refusals, False) else posted(request)
        async with connect(server.url, project="p") as gateway:
            waiting = [asyncio.create_task(gateway.queue("q").post(number)) for number in range(3)]
            await asyncio.gather(*waiting)
    assert bodies(server)[-2:] == [0, 1]
    assert len(server.sockets) == 1


@asynchronous
async def test_the_outbox_is_bounded_in_messages_and_bytes() -> None:
    async with ScriptedServer() as server:
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p", outbox_messages=3, outbox_bytes=1000) as gateway:
            queue = gateway.queue("q")
            for large in ("x" * 1000, "\N{EURO SIGN}" * 400):
                with pytest.raises(OutboxFull):
                    await queue.post(large)
            waiting = [asyncio.create_task(queue.post_many([NewMessage(1), NewMessage(2)]))]
            await until(lambda: gateway.outbox.messages == 2)
            with pytest.raises(OutboxFull, match="2 messages of"):
                await queue.post_many([NewMessage(3), NewMessage(4)])
            waiting.append(asyncio.create_task(queue.post_many([NewMessage(5)])))
            await until(lambda: gateway.outbox.messages == 3)
            waiting[0].cancel()
            await until(lambda: gateway.outbox.messages == 1)
        with pytest.raises(Closed):
            await waiting[1]
        assert (gateway.outbox.messages, gateway.outbox.bytes) == (0, 0)


@asynchronous
async def test_no_more_are_on_their_way_than_the_gateway_reads() -> None:
    async with ScriptedServer() as server:
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            waiting = [asyncio.create_task(gateway.queue("q").post(number)) for number in range(100)]
            await until(lambda: len(server.requests) == 32)
            await gateway.ping()  # comes through behind them
            assert server.actions().count("message_post") == 32
            for task in waiting:
                task.cancel()


@asynchronous
async def test_a_post_that_is_too_old_to_be_repeated_fails_and_says_whether_it_left() -> None:
    async with ScriptedServer() as server:
        server.answers["describe"] = lambda request: (200, {"limits": {**LIMITS, "dedup_window": 1}})
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            with pytest.raises(PostExpired, match="may be stored") as sent:
                await gateway.queue("q").post(1)
            assert sent.value.outcome_unknown
            server.answers["describe"] = lambda request: None
            await server.close_all(4200)
            await until(lambda: not gateway.is_connected)
            with pytest.raises(PostExpired, match="was not sent") as unsent:
                await gateway.queue("q").post(2)
            assert not unsent.value.outcome_unknown
            assert gateway.outbox.messages == 0
    assert bodies(server) == [1]


@asynchronous
async def test_a_post_has_a_timeout_of_its_own_which_names_the_refusal() -> None:
    async with ScriptedServer() as server:
        server.answers["message_post"] = lambda request: (503, {"error": "full", "code": "store_full"})
        async with connect(server.url, project="p") as gateway:
            with pytest.raises(CallTimeout, match="store_full"):
                await gateway.queue("q").post(1, timeout=1)


@asynchronous
async def test_what_is_refused_for_good_fails_at_once_and_alone(gateway: Program) -> None:
    async with connect(gateway.url, project="refused") as client:
        good, bad = await asyncio.gather(
            client.queue("good").post(1), client.queue("bad name").post(1), return_exceptions=True
        )
        assert isinstance(good, str)
        assert isinstance(bad, BadRequest)
        with pytest.raises(TypeError):
            await client.queue("good").post({1, 2})
        with pytest.raises(ValueError, match="JSON"):
            await client.queue("good").post(float("nan"))
        assert client.outbox.messages == 0


@asynchronous
async def test_an_own_dedup_id_holds_over_connections(gateway: Program) -> None:
    ids = []
    for _ in range(2):
        async with connect(gateway.url, project="dedup") as client:
            ids.append(await client.queue("orders").post({"order": 1}, dedup_id="order-1"))
    assert ids[0] == ids[1]


@asynchronous
async def test_without_the_extension_a_cut_is_told() -> None:
    async with ScriptedServer(extended=False) as server:
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            waiting = asyncio.create_task(gateway.queue("q").post(1))
            await until(lambda: server.requests)
            server.sockets[0].transport.abort()
            with pytest.raises(ConnectionLost):
                await waiting
    assert "dedup_id" not in server.requests[0]["body"]["messages"][0]


@asynchronous
async def test_a_frame_that_is_too_large_after_all_breaks_one_connection() -> None:
    async with ScriptedServer() as server:
        server.answers["message_post"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            large = asyncio.create_task(gateway.queue("q").post("x" * 10_000))
            small = asyncio.create_task(gateway.queue("q").post("small"))
            await until(lambda: len(server.requests) == 2)
            server.answers["message_post"] = posted
            await server.close_all(1009)
            with pytest.raises(BadRequest) as refused:
                await large
            assert refused.value.code == "frame_too_large"
            await small
            server.answers["ping_node"] = lambda request: None
            pinging = asyncio.create_task(gateway.ping())
            await until(lambda: "ping_node" in server.actions())
            await server.close_all(1009)
            with pytest.raises(ConnectionLost):
                await pinging
