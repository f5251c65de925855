"""How the connection is kept: tokens, close codes, silence, and what calls see of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.asynchronous import asynchronous, until
from tests.support.chaos_proxy import ChaosProxy
from tests.support.gateway import Gateway as Program
from tests.support.gateway import start_gateway
from tests.support.metrics import value
from tests.support.scripted_server import ScriptedServer
from zaqar_gateway_client import (
    BadRequest,
    CallTimeout,
    Closed,
    ConnectFailed,
    ConnectionLost,
    Gateway,
    Message,
    NotAuthenticated,
    Unavailable,
    connect,
)


def tokens_of(server: ScriptedServer) -> list[Any]:
    return [request["headers"].get("X-Auth-Token") for request in server.requests]


@asynchronous
async def test_a_token_is_asked_for_on_each_connection_and_renewed_on_the_open_one() -> None:
    given = iter(["one", "two", "three"])

    async def get_token() -> str:
        return next(given)

    async with ScriptedServer() as server, connect(server.url, project="p", get_token=get_token) as gateway:
        assert tokens_of(server) == ["one"]
        await server.tell(event="token_expiring", seconds=30)
        await until(lambda: tokens_of(server) == ["one", "two"])
        assert len(server.sockets) == 1
        await server.close_all(4003, "expired")
        await until(lambda: gateway.connections == 2)
        assert tokens_of(server) == ["one", "two", "three"]


@asynchronous
async def test_a_token_that_cannot_be_renewed_at_first_is_tried_again() -> None:
    broken = iter([False, True, False])

    def get_token() -> str:
        if next(broken):
            raise RuntimeError("the identity service is away")
        return "token"

    async with ScriptedServer() as server, connect(server.url, project="p", get_token=get_token) as gateway:
        await server.tell(event="token_expiring", seconds=30)
        await until(lambda: tokens_of(server) == ["token", "token"])
        assert gateway.connections == 1


@asynchronous
async def test_a_refused_token_ends_the_first_connection() -> None:
    async with ScriptedServer() as server:
        server.answers["authenticate"] = lambda request: (403, {"error": "no", "code": "not_authenticated"})
        with pytest.raises(NotAuthenticated) as refused:
            async with connect(server.url, project="p", get_token=lambda: "bad"):
                pass
    assert (refused.value.status, refused.value.code) == (403, "not_authenticated")


@asynchronous
async def test_a_code_that_forbids_to_come_back_ends_every_call() -> None:
    async with ScriptedServer() as server:
        server.answers["ping_node"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            waiting = asyncio.create_task(gateway.ping())
            await until(lambda: "ping_node" in server.actions())
            await server.close_all(4001, "the project is gone")
            for call in (waiting, gateway.ping(), gateway.queue("q").post(1)):
                with pytest.raises(ConnectFailed, match="4001 the project is gone"):
                    await asyncio.wait_for(call, 20)
    assert len(server.sockets) == 1


@asynchronous
async def test_a_draining_node_is_left_and_come_back_to_when_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without the event it would be any time within these seconds.
    monkeypatch.setattr("zaqar_gateway_client.backoff.RESTART_SPREAD", 1e6)
    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        await server.tell(event="draining", reconnect_after_ms=0)
        await server.close_all(1012)
        await until(lambda: gateway.connections == 2)


@asynchronous
async def test_a_silent_server_is_given_up() -> None:
    quiet = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        quiet.set()
        await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFailed, match="cannot connect"):
        async with connect(f"ws://127.0.0.1:{port}/", project="p", timeout=1):
            pass
    assert quiet.is_set()
    server.close()


@asynchronous
async def test_a_handshake_that_hangs_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zaqar_gateway_client.link.HANDSHAKE_TIMEOUT", 1)
    async with (
        ScriptedServer() as server,
        ChaosProxy("127.0.0.1", int(server.url.split(":")[2].rstrip("/"))) as proxy,
    ):
        proxy.hang = True
        connecting = asyncio.create_task(connect(f"ws://127.0.0.1:{proxy.port}/", project="p").__aenter__())
        await until(lambda: proxy.connections)
        proxy.hang = False
        gateway = await connecting
        await gateway.ping()
        await gateway.close()


@asynchronous
async def test_a_half_open_connection_is_noticed_and_the_call_repeated(gateway: Program) -> None:
    host, port = gateway.url.split("/")[2].split(":")
    async with (
        ChaosProxy(host, int(port), seed=1) as proxy,
        connect(f"ws://127.0.0.1:{proxy.port}/", project="p", heartbeat=0.5) as client,
    ):
        proxy.strike("half-open")
        await asyncio.sleep(0)
        await client.ping(timeout=30)
        assert client.connections >= 2


@asynchronous
async def test_what_cannot_be_repeated_says_that_it_may_be_done() -> None:
    async with ScriptedServer() as server:
        server.answers["message_delete_many"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            popping = asyncio.create_task(gateway.queue("jobs").pop())
            await until(lambda: "message_delete_many" in server.actions())
            server.sockets[0].transport.abort()
            with pytest.raises(ConnectionLost) as lost:
                await popping
            assert lost.value.sent
            await gateway.ping()  # and life goes on
    assert server.actions().count("message_delete_many") == 1


@asynchronous
async def test_calls_end_in_time_and_say_whether_they_were_sent() -> None:
    async with ScriptedServer() as server:
        server.answers["ping_node"] = lambda request: None
        async with connect(server.url, project="p") as gateway:
            with pytest.raises(CallTimeout, match="ping_node was not answered within") as late:
                await gateway.ping(timeout=0.1)
            assert late.value.outcome_unknown
            assert isinstance(late.value, TimeoutError)
            server.answers["ping_node"] = lambda request: (503, {"error": "busy", "code": "store_busy"})
            with pytest.raises(Unavailable) as busy:
                await gateway.ping()
            assert (busy.value.status, busy.value.code) == (503, "store_busy")


@asynchronous
async def test_an_unsent_call_that_times_out_was_not_done() -> None:
    async with ScriptedServer() as server:
        gateway = connect(server.url, project="p")
        async with gateway:
            server.answers["describe"] = lambda request: None  # no further connection becomes ready
            await server.close_all(4200)
            await until(lambda: not gateway.is_connected)
            with pytest.raises(CallTimeout) as late:
                await gateway.queue("jobs").pop(timeout=0.1)
            assert not late.value.outcome_unknown


@asynchronous
async def test_closing_ends_calls_that_wait_and_those_that_come_later() -> None:
    async with ScriptedServer() as server:
        server.answers["ping_node"] = lambda request: None
        gateway = await connect(server.url, project="p").__aenter__()
        waiting = asyncio.create_task(gateway.ping())
        await until(lambda: "ping_node" in server.actions())
        await gateway.close()
        for call in (waiting, gateway.ping(), gateway.queue("q").post(1)):
            with pytest.raises(Closed):
                await asyncio.wait_for(call, 20)


@asynchronous
async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(ConnectFailed, match="Connect call failed"):
            async with connect(url, project="p", timeout=0.3):
                pass


@asynchronous
async def test_a_handshake_that_is_refused_is_not_repeated() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 14\r\n\r\nanother host, ")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFailed, match="refused the connection: HTTP 421 another host"):
        async with connect(f"ws://127.0.0.1:{port}/", project="p"):
            pass
    assert asked == 1
    server.close()


@asynchronous
async def test_what_can_never_work_is_told_at_once() -> None:
    async with ScriptedServer() as server:
        for mistake in ({"tls": ssl.create_default_context()}, {"get_token": lambda: {"no", "text"}}):
            with pytest.raises(ConnectFailed, match="cannot connect") as failed:
                async with asyncio.timeout(20), connect(server.url, project="p", timeout=1000, **mistake):
                    pass
            assert isinstance(failed.value.__cause__, ValueError | TypeError)


@asynchronous
async def test_a_frame_that_the_server_would_not_take_is_not_sent() -> None:
    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        with pytest.raises(BadRequest) as refused:
            await gateway.queue("big").post("x" * 200_000)
        assert refused.value.code == "frame_too_large"
        await gateway.ping()
        assert server.actions() == ["ping_node"]


@asynchronous
async def test_a_frame_that_cannot_be_used_stops_nothing_else() -> None:
    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        await server.tell(event="claim")  # no claim_id
        await server.tell(event="what is this", queue_name=["?"])
        await gateway.ping()
        await server.sockets[0].send("no JSON")
        await until(lambda: gateway.connections == 2)
        await gateway.ping()


@asynchronous
async def test_a_limit_of_requests_delays_and_ends_nothing(tmp_path: Path) -> None:
    limits = ("--max-requests-per-second", "5", "--request-burst", "1")
    with start_gateway(tmp_path / "data", *limits) as limited:
        async with connect(limited.url, project="p") as client, contextlib.AsyncExitStack() as stack:
            names = [f"q-{number}" for number in range(8)]
            queues = [stack.enter_async_context(client.subscribe(name)) for name in names]
            await asyncio.gather(*queues)
            await asyncio.gather(*(client.queue("jobs").post(number) for number in range(8)))
            done: list[int] = []

            async def work(message: Message) -> None:
                done.append(message.body)

            consumer = await stack.enter_async_context(client.consume("jobs", work, concurrency=8))
            await until(lambda: consumer.done == 8)
            assert (sorted(done), consumer.lost) == (list(range(8)), 0)
        assert value(limited, "refused_total", limit="max_requests_per_second") > 0


@asynchronous
async def test_what_is_closed_is_taken_back_until_the_gateway_has_done_it() -> None:
    refused: set[str] = set()

    def at_second(request: dict[str, Any]) -> tuple[int, Any]:
        if request["action"] in refused:
            return 204, {}
        refused.add(request["action"])
        return 429, {"error": "slow down", "code": "too_many_requests", "retry_after": 0.1}

    async def work(message: Message) -> None:
        """Nothing comes."""

    async with ScriptedServer() as server, connect(server.url, project="p") as gateway:
        body = {"subscription_id": "s", "marker": "7", "recovered": True, "gap": None}
        server.answers["subscription_create"] = lambda request: (201, body)
        server.answers["claim_subscribe"] = lambda request: (201, {"claim_id": "c", "held": 0})
        server.answers["subscription_delete"] = server.answers["claim_unsubscribe"] = at_second
        async with gateway.subscribe("q"), gateway.consume("q", work):
            pass
        assert server.actions().count("subscription_delete") == 2
        assert server.actions().count("claim_unsubscribe") == 2
        assert gateway.connections == 1


@asynchronous
async def test_a_handler_of_many_calls_at_a_time(gateway: Program) -> None:
    async def life(client: Gateway, name: str) -> None:
        queue = client.queue(name)
        posted = await queue.post({"name": name})
        assert (await queue.get(posted)).body == {"name": name}
        await queue.delete()

    async with connect(gateway.url, project="many") as client:
        await asyncio.gather(*(life(client, f"queue-{number}") for number in range(100)))
