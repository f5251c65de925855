"""Answers about tokens that hold for a while, and are asked for again while somebody relies on them."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gateway.auth.authenticator import Authenticator
from gateway.auth.identity import Identity
from gateway.logs import get_logger
from protocol.errors import AuthenticationFailed, Unavailable
from storage.shared_work import SharedWork

MAX_KNOWN = 10_000
"""Answers that are kept; the oldest go first."""

MAX_REFUSED = 1_000
"""Tokens that are known to speak for nobody."""

REFUSED_SECONDS = 5.0
"""For how long those are not asked about again."""

AT_ONCE = 4
"""Tokens that are asked about again at the same time: who authenticates shall not wait behind them."""

SHARE = 0.75
"""Part of the time for which an answer holds after which it is asked for again, to have the next in time."""

RETRY = 5.0
"""Seconds until a token is asked about again when nobody answered; less if answers hold for less."""

log = get_logger(__name__)


class Grant:
    """What one token was found to grant, and who relies on it."""

    __slots__ = ("_begun", "_holders", "expected", "identity", "key", "looked", "revoked", "token")

    def __init__(
        self, key: bytes, token: str, identity: Identity, looked: float, begun: Callable[[Grant], None]
    ) -> None:
        self.key = key
        self.token = token
        self.identity = identity
        self.looked = looked
        """When it was found, by the reactor's clock."""
        self.revoked = False
        self.expected = False
        """Whether it is to be looked at again, or is looked at now."""
        self._begun = begun
        self._holders: dict[Callable[[], None], None] = {}

    @property
    def held(self) -> bool:
        """Whether anybody relies on it."""
        return bool(self._holders)

    def hold(self, ended: Callable[[], None]) -> None:
        """Rely on it: `ended` is called once if it is revoked before it is released."""
        if self.revoked:
            ended()
            return
        first = not self._holders
        self._holders[ended] = None
        if first:
            self._begun(self)

    def release(self, ended: Callable[[], None]) -> None:
        """Rely on it no more."""
        self._holders.pop(ended, None)

    def revoke(self) -> None:
        """It grants nothing any more."""
        self.revoked = True
        holders, self._holders = self._holders, {}
        for ended in holders:
            ended()


class RevocableTokens:
    """An authenticator that asks another one, and keeps its answers for some seconds.

    As long as somebody holds what a token grants, the token is asked about again in the background. If it is
    refused, or speaks for somebody else now, who holds it is told. If nobody answers, nothing changes.

    :param source: is asked about each token once at a time.
    :param seconds: for how long an answer holds. That is also the latest by which a revoked token has no
        holders, as long as `source` answers within a quarter of it.
    """

    def __init__(self, reactor: Any, source: Authenticator, seconds: float) -> None:
        self._reactor = reactor
        self._source = source
        self._seconds = seconds
        # By digest, so that looking a token up takes no time that would tell of others.
        self._known: OrderedDict[bytes, Grant] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._asking: SharedWork[bytes, Grant] = SharedWork()
        # What is held, by when it is due; what is held no more leaves when it is.
        self._due: list[tuple[float, int, Grant]] = []
        self._numbers = itertools.count()
        self._looking = 0
        self._timer: IDelayedCall | None = None
        self._stopped = False

    async def identify(self, token: str) -> Identity:
        """Whom the token speaks for. AuthenticationFailed, Unavailable."""
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        now = self._reactor.seconds()
        if key in self._refused and now < self._refused[key] + REFUSED_SECONDS:
            raise AuthenticationFailed("refused a moment ago")
        grant = self._known.get(key)
        if grant is None or now >= grant.looked + self._seconds:
            grant = await self._asking.join(key, lambda: self._ask(key, token), self._keep)
        if grant.identity.expires is not None and grant.identity.expires <= time():
            raise AuthenticationFailed("expired")
        return replace(grant.identity, grant=grant)

    async def stop(self) -> None:
        """Ask no more."""
        self._stopped = True
        self._due.clear()
        self._stop_timer()
        await self._source.stop()

    async def _ask(self, key: bytes, token: str) -> Grant:
        asked = self._reactor.seconds()
        try:
            identity = await self._source.identify(token)
        except AuthenticationFailed:
            self._refuse(key)
            raise
        return Grant(key, token, identity, asked, self._begin)

    def _keep(self, grant: Grant) -> None:
        self._known[grant.key] = grant
        self._known.move_to_end(grant.key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _refuse(self, key: bytes) -> None:
        grant = self._known.pop(key, None)
        self._refused[key] = self._reactor.seconds()
        self._refused.move_to_end(key)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
        if grant is not None:
            grant.revoke()

    # What is held

    def _begin(self, grant: Grant) -> None:
        if not grant.expected:  # else somebody has held it a moment ago
            self._expect(grant, grant.looked + self._seconds * SHARE)

    def _expect(self, grant: Grant, due: float) -> None:
        if not self._stopped:
            grant.expected = True
            heapq.heappush(self._due, (due, next(self._numbers), grant))
            self._look()

    def _look(self) -> None:
        """Ask about those that are due, and wait for the next."""
        self._stop_timer()
        while self._due and self._looking < AT_ONCE:
            due, _, grant = self._due[0]
            wait = due - self._reactor.seconds()
            if wait > 0:
                self._timer = self._reactor.callLater(wait, self._timed)
                return
            heapq.heappop(self._due)
            grant.expected = grant.held
            if grant.held:
                self._looking += 1
                Deferred.fromCoroutine(self._look_again(grant))

    def _timed(self) -> None:
        self._timer = None
        self._look()

    async def _look_again(self, grant: Grant) -> None:
        asked = self._reactor.seconds()
        due = asked + min(RETRY, self._seconds * SHARE)
        try:
            identity = await self._source.identify(grant.token)
            if identity.may_differ(grant.identity):
                self._end(grant)
            else:
                grant.looked = asked
                due = asked + self._seconds * SHARE
        except AuthenticationFailed:
            self._refuse(grant.key)
            self._end(grant)
        except Unavailable as error:
            log.warning("token_not_checked", code=error.code, reason=str(error))
        except Exception:  # whatever it is, the other tokens must be looked at too, and this one later
            log.exception("token_check_broke")
        self._looking -= 1
        grant.expected = grant.held
        if grant.held:
            self._expect(grant, due)
        else:
            self._look()

    def _end(self, grant: Grant) -> None:
        if self._known.get(grant.key) is grant:
            del self._known[grant.key]
        log.info("token_revoked", project=grant.identity.project, user=grant.identity.user)
        grant.revoke()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            timer, self._timer = self._timer, None
            timer.cancel()
