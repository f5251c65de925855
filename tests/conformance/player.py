"""Plays a recorded conversation with OpenStack Zaqar against a gateway and says what differs.

A scenario is a list of steps, each a frame to send on a named connection, the reply that Zaqar gave and the
notifications seen after it. What varies from run to run stands there as a placeholder:

- `<id:N>`: an identifier; the same N is the same identifier in the whole scenario
- `<int>`: a number; `<time>`: a UTC time; `<text>`: any text
- `<run>`: a suffix that the player draws for each scenario; projects named `proj-…` get it too
- `{"$repeat": [text, n]}`: the text n times; `{"$hex": digits}`: a frame of these bytes

An object in a reply may hold more keys than were recorded. Steps with `"assert": false` are played but not
compared: there Zaqar fails, or is wrong (docs/compatibility.md).
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.client import decode, encode, is_reply

REPLY_TIMEOUT = 30.0
"""Seconds a reply, and all notifications of a step together, may take."""

IDENTIFIER = re.compile(r"<id:\d+>")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class Step:
    """One frame and what Zaqar did with it. `expect` is None where it gave no reply."""

    number: int
    connection: str
    frame: str
    send: Any
    expect: dict[str, Any] | None
    notifications: list[Any]
    asserted: bool
    note: str

    def __str__(self) -> str:
        return f"step {self.number}" + (f" ({self.note})" if self.note else "")


def read_steps(path: Path, run: str = "<run>") -> list[Step]:
    """The steps of a scenario file, with `run` in the place of `<run>`."""
    scenario = json.loads(path.read_text(encoding="utf-8").replace("<run>", run))
    return [
        Step(
            number=step["step"],
            connection=step["conn"],
            frame=step["frame"],
            send=step["send"],
            expect=step["expect"],
            # What has headers is a reply that came late, not a notification.
            notifications=[push["data"] for push in step["push"] if not is_reply(push["data"])],
            asserted=step.get("assert", True),
            note=step.get("note", ""),
        )
        for step in scenario["steps"]
    ]


class Matcher:
    """Compares recorded values with those that came, and learns the identifiers on the way."""

    def __init__(self) -> None:
        self.identifiers: dict[str, str] = {}

    def difference(self, want: Any, got: Any, place: str) -> str | None:
        """None if `got` is what was recorded, else where it is not and why."""
        want = spell_out(want)
        match want:
            case dict():
                return self._object_difference(want, got, place)
            case list():
                if not isinstance(got, list) or len(got) != len(want):
                    return f"{place}: {len(want)} items recorded, got {got!r:.200}"
                pairs = enumerate(zip(want, got, strict=True))
                return first(self.difference(w, g, f"{place}[{i}]") for i, (w, g) in pairs)
            case str():
                return self._text_difference(want, got, place)
            case _:
                # 1, 1.0 and True are equal in Python and three things on the wire.
                same = type(want) is type(got) and want == got
                return None if same else f"{place}: {want!r} recorded, got {got!r:.200}"

    def _object_difference(self, want: dict[str, Any], got: Any, place: str) -> str | None:
        if not isinstance(got, dict):
            return f"{place}: an object recorded, got {got!r:.200}"
        missing = [key for key in want if key not in got]
        if missing:
            return f"{place}: no {missing} in {got!r:.200}"
        return first(self.difference(want[key], got[key], f"{place}.{key}") for key in want)

    def _text_difference(self, want: str, got: Any, place: str) -> str | None:
        if want == "<int>":
            same = isinstance(got, int | float) and not isinstance(got, bool)
        elif not isinstance(got, str):
            same = False
        elif want == "<text>":
            same = True
        elif want == "<time>":
            same = TIME.fullmatch(got) is not None
        else:
            same = self._identified(want, got)
        return None if same else f"{place}: {want!r:.200} recorded, got {got!r:.200}"

    def _identified(self, want: str, got: str) -> bool:
        """Whether `got` is `want` with identifiers in their places; learns those not yet known."""
        learnt: list[str] = []
        pattern = ""
        end = 0
        for found in IDENTIFIER.finditer(want):
            pattern += re.escape(want[end : found.start()])
            end = found.end()
            if found[0] in self.identifiers:
                pattern += re.escape(self.identifiers[found[0]])
            else:
                pattern += "(.+?)"
                learnt.append(found[0])
        matched = re.fullmatch(pattern + re.escape(want[end:]), got, re.DOTALL)
        if matched is None:
            return False
        self.identifiers.update(zip(learnt, matched.groups(), strict=True))
        return True


class Player:
    """Plays the steps of one scenario, each connection of it a socket."""

    def __init__(self, url: str, run: str | None = None) -> None:
        self.url = url
        self.run = secrets.token_hex(4) if run is None else run
        self.matcher = Matcher()
        self._sockets: dict[str, ClientConnection] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def play(self, path: Path) -> tuple[int, list[str]]:
        """Play a scenario file: how many asserted steps it has, and the difference of each that differs."""
        asserted = 0
        differences = []
        for step in read_steps(path, self.run):
            difference = self.step(step)
            asserted += step.asserted
            if step.asserted and difference:
                differences.append(f"{step}: {difference}")
        return asserted, differences

    def step(self, step: Step) -> str | None:
        """Play one step: None, or the first difference from what was recorded."""
        request = self.outgoing(step.send)
        seen: list[Any] = []
        try:
            reply = self._exchange(step, request, seen)
        except (ConnectionClosed, TimeoutError) as error:
            self._sockets.pop(step.connection, None)
            return None if step.expect is None else f"no reply: {error!r:.200}"
        if step.expect is None:
            return f"a reply where none was recorded: {reply!r:.200}"
        status = reply["headers"].get("status")
        if status != step.expect["status"]:
            body = reply.get("body")
            return f"status: {step.expect['status']} recorded, got {status} with body {body!r:.200}"
        return (
            self.matcher.difference(step.expect["body"], reply.get("body"), "body")
            or echo_difference(request, reply.get("request"))
            or self._notification_difference(step.notifications, seen)
        )

    def outgoing(self, value: Any) -> Any:
        """What is sent: runs spelled out, identifiers as learnt, projects of this run's own."""
        value = spell_out(value)
        if isinstance(value, dict):
            return {
                key: f"{item}-{self.run}" if is_own_project(key, item) else self.outgoing(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.outgoing(item) for item in value]
        return self.matcher.identifiers.get(value, value) if isinstance(value, str) else value

    def _exchange(self, step: Step, request: Any, seen: list[Any]) -> dict[str, Any]:
        """Send the step's frame and wait for its reply. Notifications before it go to `seen`."""
        if step.connection not in self._sockets:
            socket = connect(self.url, max_size=None, open_timeout=REPLY_TIMEOUT, proxy=None)
            self._sockets[step.connection] = self._closing.enter_context(socket)
        socket = self._sockets[step.connection]
        socket.send(frame_of(step.frame, request))
        deadline = time.monotonic() + REPLY_TIMEOUT
        while True:
            document = decode(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if is_reply(document):
                return document  # type: ignore[no-any-return]  # is_reply has seen a dict
            seen.append(document)

    def _notification_difference(self, want: list[Any], seen: list[Any]) -> str | None:
        """Wait for the recorded notifications on all connections; their order was not constant in Zaqar."""
        deadline = time.monotonic() + REPLY_TIMEOUT
        while True:
            left = list(seen)
            missing = []
            for notification in want:
                index = self._index(notification, left)
                if index is None:
                    missing.append(notification)
                else:
                    del left[index]
            if not missing:
                return None
            if time.monotonic() > deadline:
                return f"notifications missing: {missing!r:.300}; seen: {seen!r:.300}"
            self._receive_waiting(seen)

    def _index(self, notification: Any, documents: list[Any]) -> int | None:
        found = (i for i, d in enumerate(documents) if self.matcher.difference(notification, d, "") is None)
        return next(found, None)

    def _receive_waiting(self, seen: list[Any]) -> None:
        for name, socket in list(self._sockets.items()):
            try:
                seen.append(decode(socket.recv(timeout=0.02)))
            except TimeoutError:
                continue
            except ConnectionClosed:
                del self._sockets[name]


def frame_of(kind: str, request: Any) -> str | bytes:
    """The frame of a request; text is sent as it is, and so are bytes given as hexadecimal digits."""
    if isinstance(request, dict) and set(request) == {"$hex"}:
        return bytes.fromhex(request["$hex"])
    if isinstance(request, str):
        return request.encode() if kind == "binary" else request
    return encode(request, "msgpack" if kind == "binary" else "json")


def echo_difference(request: Any, echo: Any) -> str | None:
    """Whether a reply to an object repeats the request's action, with `api` v2 (protocol.md section 1)."""
    if not isinstance(request, dict):
        return None
    if not isinstance(echo, dict) or echo.get("api") != "v2":
        return f"request: the echo with api v2 recorded, got {echo!r:.200}"
    action = request.get("action")
    if isinstance(action, str) and echo.get("action") != action:
        return f"request.action: {action!r} sent, {echo.get('action')!r} echoed"
    return None


def spell_out(value: Any) -> Any:
    """`{"$repeat": [text, n]}` as the long text it stands for; anything else as it is."""
    if isinstance(value, dict) and set(value) == {"$repeat"}:
        text, count = value["$repeat"]
        return text * count
    return value


def is_own_project(key: str, value: Any) -> bool:
    """Whether this is a project's name that two runs must not share."""
    return key.lower() == "x-project-id" and isinstance(value, str) and value.startswith("proj-")


def first(differences: Iterator[str | None]) -> str | None:
    """The first difference found, if there is one."""
    return next((difference for difference in differences if difference), None)
