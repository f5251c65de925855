"""Who speaks on one socket: from its first token to the end of its last one (protocol.md section 3)."""

from __future__ import annotations

from time import time
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from gateway.actions.call import Client, Node
from gateway.auth.authenticator import Authenticator, identify_and_count
from gateway.auth.identity import Identity, Revocable
from gateway.logs import get_logger
from protocol.close_codes import (
    AUTHENTICATION_EXPIRED,
    AUTHENTICATION_FAILED,
    AUTHENTICATION_TIMEOUT,
    AUTHENTICATION_UNAVAILABLE,
    TOO_MANY_REFUSED_TOKENS,
    TOO_MANY_SOCKETS,
)
from protocol.errors import AuthenticationFailed, RequestError, TooManySockets, Unavailable
from schemas.events import TokenExpiringEvent

NOTICE = 60.0
"""Seconds before its token expires that a socket is told so."""

LONGEST_WAIT = 3600.0
"""Seconds until the clock on the wall is looked at again, should it have been set."""

REFUSED_TOKENS = 5
"""How many tokens in a row may be refused on one socket. Each may cost a question to Keystone."""

_NO_ROOM = "The project has as many sockets as it may."

log = get_logger(__name__)


class Socket(Client, Protocol):
    """The session, or the event stream, whose identity this is about."""

    id: str

    def end(self, code: int, reason: str) -> None:
        """Close at once; what waits is dropped."""

    def notify(self, event: TokenExpiringEvent) -> None:
        """Tell it an event, if it has agreed on protocol.extension."""


class FrameLimit(Protocol):
    """What takes frames, which are to be small until somebody has authenticated."""

    def limit_frames(self, limit: int | None) -> None:
        """Close at messages of more bytes than that, with 1009; None: than the node takes."""


class SocketAuthentication:
    """The identity of a socket, what is due because of it, and what another one changes.

    Until somebody has authenticated, the socket takes small frames only, and is closed after a while. It is
    told when its token is about to expire, and closed with 4003 when it has, or with 4004 when REFUSED_TOKENS
    in a row were refused.
    """

    __slots__ = (
        "_asking",
        "_authenticator",
        "_grant",
        "_node",
        "_overdue",
        "_project",
        "_refused",
        "_signed_until",
        "_socket",
        "_timer",
        "_warn_at",
        "_wire",
    )

    def __init__(self, node: Node, authenticator: Authenticator, socket: Socket, wire: FrameLimit) -> None:
        self._node = node
        self._authenticator = authenticator
        self._socket: Socket | None = socket
        self._wire = wire
        self._timer: IDelayedCall | None = None
        self._asking = False
        self._refused = 0
        self._overdue = False
        self._grant: Revocable | None = None
        self._signed_until: float | None = None
        self._warn_at: float | None = None
        self._project: str | None = None  # as whose socket this one counts
        settings = node.settings
        wire.limit_frames(min(settings.max_unauthenticated_frame_bytes, settings.max_frame_bytes))
        self._wait(settings.authentication_timeout)

    @property
    def asking(self) -> bool:
        """Whether a token is looked at now."""
        return self._asking

    def close(self) -> None:
        """The socket is closed."""
        self._stop_timer()
        self._rely_on(None)
        self._socket = None
        if self._project is not None:
            self._node.open_sockets.leave_project(self._project)
            self._project = None

    async def authenticate(self, token: str) -> None:
        """Let whom the token speaks for speak from now on.

        What they may not have subscribed to or leased has ended before this returns. Raises
        AuthenticationFailed, Unavailable: then all stays as it was. TooManySockets: the same, but a socket on
        which nobody has authenticated yet is closed.
        """
        if self._refused >= REFUSED_TOKENS:
            raise AuthenticationFailed()  # it came with those before; the socket is about to be closed
        self._asking = True
        try:
            identity = await self._identify(token)
        except RequestError as error:
            if isinstance(error, AuthenticationFailed):
                self._refused += 1
            if self._overdue:
                self._wait(0.0)  # behind the answer
            elif self._refused >= REFUSED_TOKENS:
                self._node.metrics.refused("refused_tokens")
                self._end_behind_answer(TOO_MANY_REFUSED_TOKENS, "Too many tokens were refused.")
            raise
        finally:
            self._asking = False
        self._refused = 0
        socket = self._socket
        if socket is None:  # it has closed meanwhile
            return
        before = socket.identity
        self.accept(identity)
        if before is not None and before.may_differ(identity):
            await self._node.hub.end_forbidden(socket)
            await self._node.consumers.end_forbidden(socket)

    def accept(self, identity: Identity) -> None:
        """Let somebody speak from now on whose token was looked at. Raises TooManySockets."""
        assert self._socket is not None
        self._count_for(identity.project)
        before, self._socket.identity = self._socket.identity, identity
        self._rely_on(identity)
        if before is None:
            self._wire.limit_frames(None)
        self._expect_expiry(identity)

    def signed(self, project: str, until: float) -> None:
        """A request in a project was permitted by its own signature, good until then (seconds of the epoch).

        That permits no other request. But who has a signature is no stranger: the socket is not closed before
        the last one expires, takes frames as large as others do, and counts as one of the project's sockets.
        Raises TooManySockets.
        """
        self._count_for(project)
        if self._socket is not None and (self._signed_until is None or until > self._signed_until):
            self._signed_until = until
            self._wire.limit_frames(None)
            if self._socket.identity is None:
                self._look_by(until)

    async def authenticate_handshake(self, token: str) -> None:
        """The same with the token of the handshake. A browser sees no status there, so a refusal closes."""
        try:
            await self.authenticate(token)
        except AuthenticationFailed as error:
            self._end(AUTHENTICATION_FAILED, str(error))
        except TooManySockets as error:
            self._node.metrics.refused(error.limit)
            self._end(TOO_MANY_SOCKETS, _NO_ROOM)
        except Unavailable as error:
            log.warning("authentication_unavailable", connection=self._connection, reason=str(error))
            self._end(AUTHENTICATION_UNAVAILABLE, "Tokens cannot be checked at the moment.")

    def _count_for(self, project: str) -> None:
        """Count the socket as the project's. Raises TooManySockets."""
        if project == self._project:
            return
        counts = self._node.open_sockets
        if not counts.enter_project(project):
            if self._project is None:
                # It would only wait here until it is too late to authenticate.
                self._end_behind_answer(TOO_MANY_SOCKETS, _NO_ROOM)
            raise TooManySockets(f"{_NO_ROOM} Close some of them first.")
        if self._project is not None:
            counts.leave_project(self._project)
        self._project = project

    async def _identify(self, token: str) -> Identity:
        try:
            identity = await identify_and_count(self._authenticator, token, self._node.metrics.authenticated)
        except AuthenticationFailed as error:
            log.info("authentication_failed", connection=self._connection, reason=error.reason)
            raise
        log.info("authenticated", connection=self._connection, project=identity.project, user=identity.user)
        return identity

    @property
    def _connection(self) -> str | None:
        return None if self._socket is None else self._socket.id

    def _rely_on(self, identity: Identity | None) -> None:
        """Hear when what this identity is granted by is revoked, and no more of the one before."""
        before, self._grant = self._grant, None if identity is None else identity.grant
        if before is not self._grant:
            if before is not None:
                before.release(self._revoked)
            if self._grant is not None:
                self._grant.hold(self._revoked)

    def _revoked(self) -> None:
        self._end(AUTHENTICATION_EXPIRED, "Authentication expired.")

    # What is due

    def _expect_expiry(self, identity: Identity) -> None:
        self._stop_timer()
        self._warn_at = None
        if identity.expires is None:
            return
        left = identity.expires - time()
        # Of a short token, half: who renews it when told must not be told again at once.
        self._warn_at = identity.expires - min(NOTICE, left / 2)
        self._look()

    def _look(self) -> None:
        self._timer = None
        socket = self._socket
        if socket is None:
            return
        identity = socket.identity
        if identity is None:
            self._look_at_nobody()
            return
        assert identity.expires is not None  # else nothing is waited for
        now = time()
        if now >= identity.expires:
            self._end(AUTHENTICATION_EXPIRED, "Authentication expired.")
        elif self._warn_at is not None and now >= self._warn_at:
            self._warn_at = None
            socket.notify(TokenExpiringEvent(seconds=int(identity.expires - now)))
            self._wait(identity.expires - now)
        else:
            self._wait((self._warn_at or identity.expires) - now)

    def _look_at_nobody(self) -> None:
        now = time()
        if self._signed_until is not None and now < self._signed_until:
            self._wait(self._signed_until - now)
        elif self._asking and not self._overdue:
            self._overdue = True  # this one answer is waited for
        elif self._signed_until is not None:
            self._end(AUTHENTICATION_EXPIRED, "Authentication expired.")
        else:
            self._end(AUTHENTICATION_TIMEOUT, "Nobody has authenticated in time.")

    def _look_by(self, when: float) -> None:
        """Look at that time at the latest, in seconds since the epoch: authentication may be due later."""
        left = max(0.0, when - time())
        if self._timer is not None and left < self._timer.getTime() - self._node.reactor.seconds():
            self._wait(left)

    def _end(self, code: int, reason: str) -> None:
        if self._socket is not None:
            log.info("authentication_ended", connection=self._connection, code=code)
            self._socket.end(code, reason)

    def _end_behind_answer(self, code: int, reason: str) -> None:
        """Close when the request at work is answered, which is in this turn of the reactor."""

        def end() -> None:
            self._timer = None
            self._end(code, reason)

        self._stop_timer()
        self._timer = self._node.reactor.callLater(0, end)

    def _wait(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._node.reactor.callLater(min(seconds, LONGEST_WAIT), self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            timer, self._timer = self._timer, None
            timer.cancel()
