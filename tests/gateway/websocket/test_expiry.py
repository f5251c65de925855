"""What is due on a socket because of who speaks there: on a clock that a test can set."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gateway.actions.call import Node
from gateway.auth.identity import Identity
from gateway.limits.sockets import OpenSockets
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.websocket import authentication
from gateway.websocket.authentication import LONGEST_WAIT, Socket, SocketAuthentication
from gateway.websocket.wire import Wire
from protocol.errors import AuthenticationFailed, Unavailable
from schemas.events import TokenExpiringEvent

EPOCH = 1_800_000_000.0
"""What the clock on the wall shows in the beginning."""


@dataclass
class FakeSocket:
    """Notes what is done with it."""

    id: str = "socket"
    identity: Identity | None = None
    limit: int | None = None
    closed: bool = False
    codes: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def end(self, code: int, reason: str) -> None:
        assert reason
        self.codes.append(code)
        self.closed = True

    def limit_frames(self, limit: int | None) -> None:
        self.limit = limit

    def notify(self, event: TokenExpiringEvent) -> None:
        self.told.append(event.seconds)


class Asked:
    """An authenticator that answers when the test says so."""

    def __init__(self) -> None:
        self.questions: list[Deferred[Identity]] = []

    async def identify(self, token: str) -> Identity:
        question: Deferred[Identity] = Deferred()
        self.questions.append(question)
        return await question

    async def stop(self) -> None:
        """Nothing is under way."""


@dataclass
class NodeParts:
    """What of a node is used."""

    reactor: Clock
    settings: Settings
    metrics: Metrics
    open_sockets: OpenSockets


class World:
    """A socket, its authentication and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.wall = EPOCH
        monkeypatch.setattr(authentication, "time", lambda: self.wall)
        self.socket = FakeSocket()
        self.asked = Asked()
        self.failures: list[type[BaseException]] = []
        self.metrics = Metrics()
        settings = Settings(data_dir=Path("unused"))
        node = NodeParts(self.clock, settings, self.metrics, OpenSockets(settings))
        self.authentication = SocketAuthentication(
            cast(Node, node), self.asked, cast(Socket, self.socket), cast(Wire, self.socket)
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, on the wall too."""
        self.wall += seconds
        self.clock.advance(seconds)

    def ask(self, asking: Coroutine[Any, Any, None] | None = None) -> None:
        begun = Deferred.fromCoroutine(asking or self.authentication.authenticate("token"))
        begun.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        assert failure.type is not None
        self.failures.append(failure.type)

    def answer(self, answer: Identity | Exception) -> None:
        question = self.asked.questions.pop(0)
        if isinstance(answer, Identity):
            question.callback(answer)
        else:
            question.errback(answer)

    def accept(self, seconds: float | None) -> None:
        """Authenticate with a token that lives for so long."""
        self.ask()
        self.answer(Identity("p", expires=None if seconds is None else self.wall + seconds))

    def counted(self, outcome: str) -> float | None:
        name = "zaqar_gateway_authentications_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome})

    def refused(self, limit: str) -> float | None:
        return self.metrics.registry.get_sample_value("zaqar_gateway_refused_total", {"limit": limit})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A socket that has just been opened."""
    return World(monkeypatch)


def test_nobody_in_time(world: World) -> None:
    assert world.socket.limit == 16_384
    world.advance(9.9)
    assert world.socket.codes == []
    world.advance(0.2)
    assert world.socket.codes == [4002]


def test_an_answer_that_is_late_is_waited_for_once(world: World) -> None:
    world.advance(9)
    world.ask()
    world.advance(5)
    assert world.socket.codes == []
    world.answer(AuthenticationFailed())
    assert world.failures == [AuthenticationFailed]
    assert world.socket.codes == []  # the answer goes out first
    world.ask()
    world.advance(0)
    assert world.socket.codes == [4002]


def refuse(world: World, times: int) -> None:
    for _ in range(times):
        world.ask()
        world.answer(AuthenticationFailed())


def test_tokens_that_are_refused_in_a_row(world: World) -> None:
    world.accept(None)
    refuse(world, 4)
    world.ask()
    world.answer(Unavailable("Nobody there."))
    world.advance(0)
    assert world.socket.codes == []
    refuse(world, 1)
    assert world.socket.codes == []  # the answer goes out first
    world.ask()  # came with those before
    assert world.asked.questions == []
    assert world.failures == [AuthenticationFailed] * 4 + [Unavailable] + [AuthenticationFailed] * 2
    world.advance(0)
    assert world.socket.codes == [4004]
    assert world.refused("refused_tokens") == 1
    assert world.clock.getDelayedCalls() == []


def test_a_good_token_among_those_that_are_refused(world: World) -> None:
    for _ in range(3):
        refuse(world, 4)
        world.accept(None)
    world.advance(100_000)
    assert world.socket.codes == []
    assert world.refused("refused_tokens") is None


def test_a_late_answer_that_is_good(world: World) -> None:
    world.ask()
    world.advance(11)
    world.answer(Identity("p"))
    world.advance(100_000)
    assert world.socket.codes == []
    assert world.socket.limit is None
    assert world.clock.getDelayedCalls() == []


def test_a_signature_that_expires_before_somebody_had_to_authenticate(world: World) -> None:
    world.authentication.signed("p", world.wall + 3)
    world.advance(2.9)
    assert world.socket.codes == []
    world.advance(0.2)
    assert world.socket.codes == [4003]


def test_the_last_signature_to_expire_counts(world: World) -> None:
    world.authentication.signed("p", world.wall + 3)
    world.authentication.signed("p", world.wall + 20)
    world.authentication.signed("p", world.wall + 2)
    world.advance(19.9)
    assert world.socket.codes == []
    world.advance(0.2)
    assert world.socket.codes == [4003]


def test_a_notice_and_the_end(world: World) -> None:
    world.accept(3600)
    world.advance(3539)
    assert world.socket.told == []
    world.advance(1)
    assert world.socket.told == [60]
    world.advance(59)
    assert world.socket.codes == []
    world.advance(1)
    assert world.socket.codes == [4003]
    assert world.socket.told == [60]


def test_a_short_token_is_told_at_half_time(world: World) -> None:
    world.accept(40)
    world.advance(19)
    assert world.socket.told == []
    world.advance(1)
    assert world.socket.told == [20]


def test_renewal_begins_anew(world: World) -> None:
    world.accept(100)
    world.advance(50)
    assert world.socket.told == [50]
    world.accept(1000)
    world.advance(939)
    assert (world.socket.told, world.socket.codes) == ([50], [])
    world.advance(1)
    assert world.socket.told == [50, 60]
    world.accept(None)
    world.advance(1e6)
    assert world.socket.codes == []


def test_a_failed_renewal_changes_nothing(world: World) -> None:
    world.accept(100)
    for error in (AuthenticationFailed(), Unavailable("Nobody there.")):
        world.ask()
        world.answer(error)
    assert world.socket.identity is not None
    world.advance(100)
    assert world.socket.codes == [4003]
    assert [world.counted(name) for name in ("accepted", "refused", "unavailable")] == [1, 1, 1]


def test_the_clock_on_the_wall_is_set(world: World) -> None:
    world.accept(100_000)
    world.wall += 200_000
    world.advance(LONGEST_WAIT)
    assert world.socket.codes == [4003]


def test_the_clock_on_the_wall_is_set_back(world: World) -> None:
    world.accept(100)
    world.wall -= 1000
    world.advance(100)
    assert world.socket.codes == []
    world.advance(1000)
    assert world.socket.codes == [4003]


def test_the_token_has_expired_before_the_answer(world: World) -> None:
    world.accept(-1)
    assert world.socket.codes == [4003]


def test_a_socket_that_closes_meanwhile(world: World) -> None:
    world.ask()
    world.authentication.close()
    world.answer(Identity("p", expires=world.wall + 100))
    assert world.failures == []
    assert world.socket.identity is None
    assert world.clock.getDelayedCalls() == []


def test_a_closed_socket_leaves_no_timer(world: World) -> None:
    world.accept(100)
    world.authentication.close()
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("error", "code"), [(AuthenticationFailed(), 4001), (Unavailable("Nobody there."), 4101)]
)
def test_the_token_of_a_handshake(world: World, error: Exception, code: int) -> None:
    world.ask(world.authentication.authenticate_handshake("token"))
    world.answer(error)
    assert world.failures == []
    assert world.socket.codes == [code]
