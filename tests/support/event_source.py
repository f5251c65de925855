"""A client of event streams that reads them as browsers do, and comes back only when it is told to.

::

    with EventSource(gateway.http_url, "/v2/queues/jobs/events", {"project": "p"}) as events:
        assert events.next().data["body"] == 1
        events.reopen()  # goes on behind that
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.support.closing import Closing

TIMEOUT = 30.0
"""Seconds that anything may take."""


class Event(NamedTuple):
    """An event: its name, `message` where it has none, its data, and the last id up to it."""

    name: str
    data: Any
    id: str


class Parser:
    """Takes a stream apart (WHATWG HTML, section 9.2.6). An event that was cut off is none."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: int | None = None
        self.comments = 0
        self._rest = b""
        self._clear()

    def _clear(self) -> None:
        self._name, self._id, self._data = "message", self.last_id, list[str]()

    def feed(self, data: bytes) -> Iterator[Event | None]:
        """The events that end in these bytes, None for what is no event. `last_id` goes along with them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            assert b"\r" not in line
            field, _, value = line.decode().partition(":")
            if not line:
                self.last_id = self._id
                document, name = "\n".join(self._data), self._name
                self._clear()
                yield Event(name, json.loads(document), self.last_id) if document else None
            elif not field:
                self.comments += 1
            else:
                self._take(field, value.removeprefix(" "))

    def _take(self, field: str, value: str) -> None:
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry":
                self.retry = int(value)
            case _:
                raise AssertionError(field)


class EventSource(Closing):
    """One stream at a time.

    :param headers: of the requests, over those of an EventSource.
    :param parameters: of the URL.
    :param tls: what an `https:` URL is connected to with.
    """

    def __init__(
        self,
        url: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = urlsplit(url)
        self._url = f"{path}?{urlencode(parameters)}"
        self._tls = tls
        self._headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache", **(headers or {})}
        self.parser = Parser()
        self._events: Iterator[Event | None] = iter(())
        self._closing = contextlib.ExitStack()
        self.open()

    def open(self) -> None:
        """Connect, behind the last event that came, and learn where the stream begins."""
        place = str(self._place.hostname), self._place.port
        connection = (
            http.client.HTTPConnection(*place, timeout=TIMEOUT)
            if self._tls is None
            else http.client.HTTPSConnection(*place, timeout=TIMEOUT, context=self._tls)
        )
        self._closing.callback(connection.close)
        self.parser, self._events = Parser(self.parser.last_id), iter(())
        last = {"Last-Event-ID": self.parser.last_id} if self.parser.last_id else {}
        connection.request("GET", self._url, headers={**self._headers, **last})
        self.answer = connection.getresponse()
        self._closing.callback(self.answer.close)
        self.status = self.answer.status
        if self.status == 200:
            assert self._next() is None

    def reopen(self) -> None:
        """Close, and connect again."""
        self.close()
        self.open()

    def next(self) -> Event:
        """The next event. EOFError if the stream ends before, in order or not."""
        deadline = time.monotonic() + TIMEOUT  # comments come for ever
        while (event := self._next()) is None:
            assert time.monotonic() < deadline, "no event has come"
        return event

    def _next(self) -> Event | None:
        while True:
            for event in self._events:
                return event
            try:
                data = self.answer.read1(65_536)
            except (http.client.HTTPException, ConnectionError):
                data = b""
            if not data:
                raise EOFError
            self._events = self.parser.feed(data)

    def bodies(self, count: int) -> list[Any]:
        """The bodies of the next so many events, which have to be messages, each at a later position."""
        found: list[Any] = []
        before = 0
        for _ in range(count):
            event = self.next()
            assert event.name == "message", event
            assert event.id == event.data["marker"]
            assert int(event.id) > before
            before = int(event.id)
            found.append(event.data["body"])
        return found

    def cut_behind(self, size: int, count: int) -> list[Event]:
        """The events that end within so many bytes more, of `count` that are on their way. Then it is cut."""
        found = [event for event in self._events if event is not None]
        while size > 0 and len(found) < count:
            data = self.answer.read1(size)
            size -= len(data)
            found += [event for event in self.parser.feed(data) if event is not None]
        self.close()
        return found

    def wait_comments(self, count: int) -> None:
        """Read until so many comments have come, and no event."""
        deadline = time.monotonic() + TIMEOUT
        while self.parser.comments < count:
            assert time.monotonic() < deadline
            assert self._next() is None

    def close(self) -> None:
        """Leave."""
        self._closing.close()
