"""Plays the conversations of docs/examples against a running gateway.

A file is one conversation on one socket; that of extension.json has agreed on protocol.extension. Each step
has the frame that is sent, the reply that came and the notifications behind it, as they were recorded.
Played again, the same must come, but for what is another in every run: ids, markers, times, ages,
durations, signatures, the project and the gateway's address.

    python -m docs.conversation ws://127.0.0.1:9000/ 127.0.0.1:6380

plays them all and records them anew, on a gateway without further pools and with a signing key, and with a
second store whose password is `secret`. In a step without a reply, which is new, "$name.path" stands for what
the step `name` was answered: "$post.message_ids.0". Its `notifications` say, by nulls, how many to wait for.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from protocol.extension import SUBPROTOCOL

FOLDER = Path(__file__).parent / "examples"

PROJECT = "6b1e2c9d0f8a4d5c9e7f3a2b1c0d4e5f"
"""The project of all examples; each time they are played, another one stands for it."""

EXTENDED = {"extension", "streaming_claims"}
"""The conversations whose socket agrees on the subprotocol."""

TIMEOUT = 15.0
"""Seconds that each frame may take."""

ADDRESS = "127.0.0.1:9000"
"""The gateway's address in all examples."""

STORE = "redis-2.example.org:6379"
"""The address of a second store in the examples that name one."""

_VARYING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9]{16}\b|\b[0-9a-f]{64}\b")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PASSING = {"age", "seconds"}


class Names:
    """Numbers what varies in the order in which it is met, so that two runs can be compared."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def same(self, value: Any, key: str = "") -> Any:
        """`value` with the numbers of what varies in their places."""
        if isinstance(value, dict):
            return {name: self.same(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.same(item) for item in value]
        if isinstance(value, str):
            return _TIME.sub("<time>", _VARYING.sub(self._number, value))
        if key == "version":
            return "<version>"
        if key in _PASSING and type(value) in (int, float):
            return "<number>"
        return value

    def _number(self, found: re.Match[str]) -> str:
        if found[0] not in self.known:
            self.known.append(found[0])
        return f"<{self.known.index(found[0])}>"


class Conversation:
    """One file of examples. `steps` are as recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))

    def step(self, name: str) -> dict[str, Any]:
        """The step of this name."""
        return next(step for step in self.steps if step["name"] == name)

    def play(self, url: str, store: str = STORE) -> list[dict[str, Any]]:
        """The same steps as they go now, with project and addresses as in the examples.

        :param store: host and port of a second store, with the password `secret`.
        """
        recorded, live = Names(), Names()
        played: list[dict[str, Any]] = []
        with Socket(url, store, extended=self.path.stem in EXTENDED) as socket:
            for step in self.steps:
                recorded.same(step["send"])
                new = step.get("reply") is None
                frame = _resolve(step["send"], played) if new else _now(step["send"], recorded, live)
                live.same(frame)
                reply, *notifications = socket.exchange(frame, 1 + len(step.get("notifications", [])))
                done = {"name": step["name"], "send": frame, "reply": reply}
                if notifications:
                    done["notifications"] = notifications
                played.append(done)
                for names, what in ((recorded, step), (live, done)):
                    names.same([what.get("reply"), what.get("notifications")])
        return played

    def record(self, url: str, store: str = STORE) -> None:
        """Play it, and keep what came."""
        text = json.dumps(self.play(url, store), indent=2, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")


def conversations() -> list[Conversation]:
    """All of them."""
    return [Conversation(path) for path in sorted(FOLDER.glob("*.json"))]


class Socket:
    """A socket that speaks for a project of its own. That and the addresses show as in the examples."""

    def __init__(self, url: str, store: str, *, extended: bool = False) -> None:
        self._shown = {PROJECT: uuid.uuid4().hex, ADDRESS: urlsplit(url).netloc, STORE: store}
        self._closing = ExitStack()
        offered = [Subprotocol(SUBPROTOCOL)] if extended else None
        opened = connect(url, subprotocols=offered, open_timeout=TIMEOUT, close_timeout=TIMEOUT, proxy=None)
        self._socket: ClientConnection = self._closing.enter_context(opened)

    def exchange(self, frame: Any, count: int) -> list[Any]:
        """Send a frame (text as it is) and read so many."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        for shown, real in self._shown.items():
            text = text.replace(shown, real)
        self._socket.send(text)
        return [json.loads(self._read()) for _ in range(count)]

    def _read(self) -> str:
        text = str(self._socket.recv(timeout=TIMEOUT))
        for shown, real in self._shown.items():
            text = text.replace(real, shown)
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()


def _now(value: Any, recorded: Names, live: Names) -> Any:
    """What was sent then, with what varies as it is in this run."""
    if isinstance(value, dict):
        return {key: _now(item, recorded, live) for key, item in value.items()}
    if isinstance(value, list):
        return [_now(item, recorded, live) for item in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        number = recorded.known.index(found[0]) if found[0] in recorded.known else len(live.known)
        # What no reply has brought is the client's own, and sent as it is.
        return live.known[number] if number < len(live.known) else found[0]

    return _VARYING.sub(put, value)


def _resolve(value: Any, played: list[dict[str, Any]]) -> Any:
    """A frame with the references of a new step in it replaced."""
    if isinstance(value, dict):
        return {key: _resolve(item, played) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, played) for item in value]
    if not (isinstance(value, str) and re.fullmatch(r"\$[a-z0-9_]+(\.[a-z0-9_]+)+", value)):
        return value
    name, *path = value[1:].split(".")
    found = next(step for step in played if step["name"] == name)["reply"]["body"]
    for part in path:
        found = found[int(part)] if part.isdecimal() else found[part]
    return found


def main() -> None:
    """Record all conversations anew from the gateway at the address given, and the second store."""
    for conversation in conversations():
        conversation.record(*sys.argv[1:])


if __name__ == "__main__":
    main()
