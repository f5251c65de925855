"""While a request is at work, or the socket is slow or closed, the shortest way out is shut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.websocket.outlet import Outlet
from gateway.websocket.session import Session
from protocol.codec import Form


class Wire:
    """Notes whether the way was free when a reply was sent."""

    def __init__(self) -> None:
        self.outlet = Outlet(None)
        self.free: list[bool] = []

    def send_frame(self, frame: bytes, form: Form) -> None:
        self.free.append(self.outlet.free is not None)

    def send_raw(self, frame: bytes) -> None:
        """Nothing is sent."""

    send_at_once = send_raw

    def pause_reading(self) -> None:
        """It goes on."""

    resume_reading = fail = pause_reading

    def limit_frames(self, limit: int | None) -> None:
        """All are taken."""

    def close(self, code: int, reason: str) -> None:
        """It stays open."""


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def session(wire: Wire, tmp_path: Any) -> Session:
    nobody = SimpleNamespace(closed=lambda sink: None, writable=lambda sink: None)
    node: Any = SimpleNamespace(
        settings=Settings(data_dir=tmp_path), metrics=Metrics(), hub=nobody, consumers=nobody
    )
    node.authenticator = node.rates = None
    session = Session(node, wire, extended=False, compressed=False)
    session.outlet.free = len
    return session


def test_a_request_shuts_it_before_its_reply(session: Session, wire: Wire) -> None:
    session.receive(b"no request", Form.JSON)
    assert wire.free == [False]


def test_a_slow_socket_shuts_it(session: Session) -> None:
    session.set_writable(False)
    assert not session.outlet.put(b"a notification")
    assert not session.push(b"a notification", at_once=True)


def test_a_closed_socket_shuts_it(session: Session) -> None:
    session.close()
    assert not session.outlet.put(b"a notification")
    assert not session.push(b"a notification", at_once=True)
