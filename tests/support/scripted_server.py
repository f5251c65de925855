"""A server that speaks the extension as far as a test scripts it: for what a real gateway does seldom.

::

    async with ScriptedServer() as server:
        server.answers["ping_node"] = lambda request: (503, {"error": "busy", "code": "store_busy"})
        async with connect(server.url, project="p") as gateway: ...
        await server.close_all(4003)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Answer = Callable[[dict[str, Any]], tuple[int, Any] | None]
"""From a request to its status and body; None: it is not answered."""

LIMITS = {"max_frame_bytes": 100_000, "dedup_window": 600}


def _done(request: dict[str, Any]) -> tuple[int, Any]:
    return 204, {}


class ScriptedServer:
    """Answers 204 to all but what `answers` names."""

    def __init__(self, *, extended: bool = True) -> None:
        self.url = ""
        self.answers: dict[str, Answer] = {"describe": lambda request: (200, {"limits": LIMITS})}
        self.requests: list[dict[str, Any]] = []
        """All that came, but `describe`."""
        self.sockets: list[ServerConnection] = []
        """All that were opened, in order."""
        self._protocols = [Subprotocol("zaqar-gateway.v1")] if extended else None
        self._extended = extended
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, subprotocols=self._protocols, compression=None
        )
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def actions(self) -> list[str]:
        """What was asked for so far."""
        return [request["action"] for request in self.requests]

    async def tell(self, **frame: Any) -> None:
        """Send a frame to the newest socket."""
        await self.sockets[-1].send(json.dumps(frame))

    async def close_all(self, code: int, reason: str = "") -> None:
        """Close all sockets that are open."""
        await asyncio.gather(*(socket.close(code, reason) for socket in self.sockets))

    async def _serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        try:
            async for frame in socket:
                request = json.loads(frame)
                if request["action"] != "describe":
                    self.requests.append(request)
                answer = self.answers.get(request["action"], _done)(request)
                if answer is not None:
                    await socket.send(json.dumps(self._reply(request, *answer)))
        except ConnectionClosed:
            pass

    def _reply(self, request: dict[str, Any], status: int, body: Any) -> dict[str, Any]:
        reply = {"headers": {"status": status}, "body": body}
        if self._extended:
            return {**reply, "id": request["id"]}
        return {**reply, "request": request}
