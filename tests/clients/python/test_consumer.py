"""Consumers: leases, renewal, acknowledgement, and what happens to work that is not done."""

from __future__ import annotations

import asyncio
import gc
import uuid
from typing import Any

import pytest

from tests.support.asynchronous import asynchronous, until
from tests.support.chaos_proxy import ChaosProxy
from tests.support.gateway import Gateway as Program
from tests.support.scripted_server import ScriptedServer
from zaqar_gateway_client import (
    BadRequest,
    ConnectFailed,
    Consumer,
    Ended,
    ExtensionNeeded,
    Gateway,
    Message,
    NewMessage,
    connect,
)


async def fill(gateway: Gateway, *bodies: Any) -> str:
    """A new queue with these messages; its name."""
    name = f"jobs-{uuid.uuid4()}"
    await gateway.queue(name).post_many([NewMessage(body) for body in bodies])
    return name


async def nothing(message: Message) -> None:
    """Is done at once."""


@asynchronous
async def test_handlers_run_side_by_side_up_to_the_concurrency_and_may_use_the_client(
    gateway: Program,
) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, *range(12))
        running, most, done = 0, 0, []
        three = asyncio.Event()

        async def work(message: Message) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 3:
                three.set()
            await asyncio.wait_for(three.wait(), 10)
            await client.queue(name).stats()
            running -= 1
            done.append(message.body)

        async with client.consume(name, work, concurrency=3) as consumer:
            await until(lambda: consumer.done == 12)
            assert (most, consumer.failed, consumer.lost, consumer.running) == (3, 0, 0, 0)
        assert sorted(done) == list(range(12))
        assert (await client.queue(name).stats()).total == 0


@asynchronous
async def test_a_handler_that_raises_gets_it_again_and_stops_no_other(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, "bad", 1, 2)
        counts: list[int] = []

        async def work(message: Message) -> None:
            if message.body == "bad":
                counts.append(message.claim_count)
                if len(counts) == 1:
                    raise RuntimeError("not yet")
                if len(counts) == 2:
                    raise asyncio.CancelledError

        async with client.consume(name, work, concurrency=2) as consumer:
            await until(lambda: consumer.done == 3)
            assert consumer.failed == 2
        assert counts == [1, 2, 3]


@asynchronous
async def test_what_is_not_done_is_free_at_once_when_it_stops(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, 1, 2, 3)
        begun = asyncio.Event()

        async def work(message: Message) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with client.consume(name, work, concurrency=2):
            await begun.wait()
        stats = await client.queue(name).stats()
        assert (stats.claimed, stats.free) == (0, 3)


@asynchronous
async def test_running_handlers_may_finish(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, 1, 2)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def work(message: Message) -> None:
            begun.set()
            await go_on.wait()

        consumer = client.consume(name, work)
        await consumer.start()
        await begun.wait()
        joining = asyncio.create_task(consumer.join())
        stopping = asyncio.create_task(consumer.stop(wait=20))
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        await joining
        assert consumer.done == 1
        assert (await client.queue(name).stats()).free == 1


@pytest.mark.parametrize("how", ["cancelled", "again"])
@asynchronous
async def test_a_stop_that_is_cut_short_gives_back_what_is_not_done(gateway: Program, how: str) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, 1)
        begun = asyncio.Event()

        async def work(message: Message) -> None:
            begun.set()
            await asyncio.Event().wait()

        consumer = client.consume(name, work)
        await consumer.start()
        joining = asyncio.create_task(consumer.join())
        await begun.wait()
        stopping = asyncio.create_task(consumer.stop(wait=1000))
        await asyncio.sleep(0)
        if how == "cancelled":
            stopping.cancel()
        else:
            await consumer.stop()
        await asyncio.wait_for(joining, 20)
        await asyncio.gather(stopping, return_exceptions=True)
        assert stopping.cancelled() == (how == "cancelled")
        assert (consumer.running, client.consumers) == (0, {})
        stats = await client.queue(name).stats()
        assert (stats.claimed, stats.free) == (0, 1)


@asynchronous
async def test_a_handler_may_stop_its_consumer(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, "last", "next")

        async def work(message: Message) -> None:
            await consumer.stop(wait=1000)
            await client.ping()

        consumer = client.consume(name, work)
        await asyncio.wait_for(consumer.join(), 20)
        assert consumer.done == 1
        assert (await client.queue(name).stats()).free == 1


@asynchronous
async def test_a_close_that_is_cancelled_leaves_nothing_running(gateway: Program) -> None:
    before = asyncio.all_tasks()
    client = await connect(gateway.url, project="work").__aenter__()
    name = await fill(client, 1)
    begun = asyncio.Event()

    async def work(message: Message) -> None:
        begun.set()
        await asyncio.Event().wait()

    await client.consume(name, work).start()
    await client.subscribe(name).start()
    await begun.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    await until(lambda: asyncio.all_tasks() == before)


@asynchronous
async def test_work_goes_on_across_a_cut_and_is_handed_out_once(gateway: Program) -> None:
    host, port = gateway.url.split("/")[2].split(":")
    async with (
        ChaosProxy(host, int(port)) as proxy,
        connect(f"ws://127.0.0.1:{proxy.port}/", project="work") as client,
    ):
        name = await fill(client, *range(5))
        begun: list[int] = []
        go_on = asyncio.Event()

        async def work(message: Message) -> None:
            begun.append(message.body)
            await go_on.wait()

        async with client.consume(name, work, concurrency=5) as consumer:
            await until(lambda: len(begun) == 5)
            proxy.strike("cut")
            await until(lambda: client.connections == 2)
            go_on.set()
            await until(lambda: consumer.done == 5)
            assert consumer.lost == 0
        assert sorted(begun) == list(range(5))


@asynchronous
async def test_a_handler_whose_lease_is_lost_is_cancelled(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, "mine")
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def work(message: Message) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with client.consume(name, work) as consumer:
            await begun.wait()
            # Somebody gives its messages back, and takes them.
            await client.call("claim_delete", {"queue_name": name, "claim_id": consumer.claim_id})
            await client.queue(name).purge()
            client_socket = await client.link.connected()
            client_socket.abort()
            await asyncio.wait_for(cancelled.wait(), 20)
            assert consumer.lost == 1


def leasing(server: ScriptedServer, **answers: tuple[int, Any]) -> None:
    """The server takes consumers, and answers other actions so."""
    server.answers["claim_subscribe"] = lambda request: (201, {"claim_id": "c", "held": 0})
    for action, answer in answers.items():
        server.answers[action] = lambda request, answer=answer: answer  # type: ignore[misc]  # bound here


async def lease(server: ScriptedServer, consumer: Consumer, claim_count: int = 1) -> None:
    """Push a message to it."""
    message = {"id": "m", "body": 1, "claim_count": claim_count}
    await server.tell(event="claim", queue_name="q", claim_id=consumer.claim_id, messages=[message])


@asynchronous
async def test_an_acknowledgement_that_comes_too_late_is_counted() -> None:
    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        leasing(server, message_delete=(403, {"exception": "claimed", "code": "forbidden"}))
        async with gateway.consume("q", nothing) as consumer:
            await lease(server, consumer)
            await until(lambda: consumer.lost == 1)
            assert consumer.done == 0


@pytest.mark.parametrize("fails", [False, True])
@asynchronous
async def test_work_that_outlives_the_connection_ends_quietly(fails: bool) -> None:
    heard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    go_on = asyncio.Event()

    async def work(message: Message) -> None:
        await go_on.wait()
        if fails:
            raise RuntimeError("no")

    async def session() -> None:
        async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
            leasing(server)
            async with gateway.consume("q", work) as consumer:
                await lease(server, consumer)
                await until(lambda: consumer.running)
                await server.close_all(4001, "the project is gone")
                with pytest.raises(ConnectFailed):
                    await consumer.join()
                go_on.set()
                await until(lambda: not consumer.running)

    await session()
    gc.collect()
    assert heard == []


@asynchronous
async def test_a_lease_that_is_told_twice_is_worked_on_once() -> None:
    got: list[int] = []

    async def work(message: Message) -> None:
        got.append(message.claim_count)

    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        leasing(server)
        async with gateway.consume("q", work) as consumer:
            await lease(server, consumer)
            await lease(server, consumer)
            await until(lambda: consumer.done == 1)
            await lease(server, consumer)  # was under way when it was acknowledged
            await lease(server, consumer, claim_count=2)
            await until(lambda: consumer.done == 2)
    assert got == [1, 2]


@asynchronous
async def test_a_message_that_is_leased_again_while_it_is_given_back_is_worked_on_after_that() -> None:
    got: list[int] = []

    async def work(message: Message) -> None:
        got.append(message.claim_count)
        if message.claim_count == 1:
            raise RuntimeError("not yet")

    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        leasing(server)
        server.answers["message_release"] = lambda request: None
        async with gateway.consume("q", work) as consumer:
            await lease(server, consumer)
            await until(lambda: "message_release" in server.actions())
            await lease(server, consumer, claim_count=2)
            await gateway.ping()
            assert got == [1]
            request = server.requests[server.actions().index("message_release")]
            await server.tell(id=request["id"], headers={"status": 204}, body={})
            await until(lambda: consumer.done == 1)
    assert got == [1, 2]


@asynchronous
async def test_leases_are_renewed_while_work_is_done_and_dropped_when_that_fails() -> None:
    renewals: list[dict[str, Any]] = []

    def renew(request: dict[str, Any]) -> tuple[int, Any]:
        renewals.append(request["body"])
        if len(renewals) == 1:
            return 503, {"error": "busy", "code": "store_busy"}
        return (204, "") if len(renewals) < 4 else (404, {"error": "no", "code": "not_found"})

    async with ScriptedServer() as server:
        leasing(server)
        server.answers["claim_update"] = renew
        async with connect(server.url, project="p") as gateway:
            begun, cancelled = asyncio.Event(), asyncio.Event()

            async def work(message: Message) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

            async with gateway.consume("q", work, ttl=0.3) as consumer:  # type: ignore[arg-type]  # no minute
                await lease(server, consumer)
                await begun.wait()
                await asyncio.wait_for(cancelled.wait(), 20)
                assert len(renewals) == 4
                assert consumer.lost == 1


@asynchronous
async def test_the_end_of_its_queue_is_told(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        name = await fill(client, 1)
        async with client.consume(name, nothing) as consumer:
            await client.queue(name).delete()
            with pytest.raises(Ended) as ended:
                await consumer.join()
            assert ended.value.reason == "queue_deleted"


@asynchronous
async def test_what_cannot_begin_says_why(gateway: Program) -> None:
    async with connect(gateway.url, project="work") as client:
        with pytest.raises(BadRequest):
            async with client.consume("bad name", nothing):
                pass
        assert client.consumers == {}
    async with connect(gateway.url, project="work", extension=False) as client:
        with pytest.raises(ExtensionNeeded, match="consume needs the subprotocol"):
            await client.consume("jobs", nothing).start()


@asynchronous
async def test_a_store_that_is_away_for_a_while_loses_nothing() -> None:
    busy = (503, {"error": "busy", "code": "store_busy"})
    refused: list[str] = []
    counts: list[int] = []

    def once(action: str, answer: tuple[int, Any]) -> None:
        def reply(request: dict[str, Any]) -> tuple[int, Any]:
            if action in refused:
                return answer
            refused.append(action)
            return busy

        server.answers[action] = reply

    async def work(message: Message) -> None:
        counts.append(message.claim_count)
        if message.claim_count == 1:
            raise RuntimeError("not yet")

    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        once("claim_subscribe", (201, {"claim_id": "c", "held": 0}))
        once("message_release", (204, {}))
        once("message_delete", (204, {}))
        async with gateway.consume("q", work) as consumer:
            await lease(server, consumer)
            await until(lambda: server.actions().count("message_release") == 2 and not consumer.running)
            await lease(server, consumer, claim_count=2)
            await until(lambda: consumer.done == 1)
            assert (consumer.failed, consumer.lost) == (1, 0)
    assert counts == [1, 2]
    assert [server.actions().count(action) for action in refused] == [2, 2, 2]
