"""Keys that the issuer of tokens publishes (RFC 7517): fetched, kept for a while, and fetched again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from gateway.auth.keys import Keys, UnfitKey, read_key_set
from gateway.http.client import HttpAnswer, HttpError
from gateway.logs import get_logger
from protocol.errors import Unavailable

FRESH: Final = 300.0
"""Seconds for which keys are used without a look whether they are still published."""

PAUSE: Final = 10.0
"""Seconds between two fetches, at the least: nobody makes them more by naming keys that are not there."""

TIMEOUT: Final = 5.0
"""Seconds that a fetch may take."""

MAX_BYTES: Final = 262_144
"""Bytes that a key set may have."""

log = get_logger(__name__)


class Client(Protocol):
    """What fetches: gateway.http.client.HttpClient."""

    async def request(self, method: str, url: str, *, timeout: float, max_bytes: int) -> HttpAnswer:
        """The answer to a request. HttpError."""

    async def stop(self) -> None:
        """Close what is open."""


class PublishedKeys:
    """The keys of one issuer.

    They are fetched again when they are no longer fresh, and when a token names one that is not there,
    which may be new. While that fails, those that are known go on for a time.

    :param now: seconds on a clock that is never set.
    :param max_age: seconds for which keys are used that cannot be fetched again.
    """

    def __init__(
        self, client: Client, url: str, now: Callable[[], float], algorithm: str, max_age: float
    ) -> None:
        self._client = client
        self._url = url
        self._now = now
        self._algorithm = algorithm
        self._max_age = max_age
        self._keys: Keys | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def start(self) -> None:
        """Fetch them for the first time; whether that works shows in the log."""
        self._begin()

    async def find(self, kid: str | None) -> Any | None:
        """The key that a token means, or None. Unavailable: no keys are known now."""
        if self._now() - self._fetched >= FRESH:
            await self._fetch()
        key = self._known().find(kid)
        if key is None:
            await self._fetch()
            key = self._known().find(kid)
        return key

    async def stop(self) -> None:
        """Give up what is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
        await self._client.stop()

    def _known(self) -> Keys:
        if self._keys is None or self._now() - self._fetched >= max(self._max_age, FRESH):
            raise Unavailable("The keys that tokens are checked by cannot be fetched at the moment.")
        return self._keys

    async def _fetch(self) -> None:
        """Fetch the keys, unless that was tried just now. Who asks meanwhile waits for the same."""
        if self._fetching is None and self._now() - self._tried < PAUSE:
            return
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if self._fetching is None:
            self._begin()
        await waiter

    def _begin(self) -> None:
        self._tried = self._now()
        self._fetching = Deferred.fromCoroutine(self._ask())
        self._fetching.addBoth(self._done)

    def _done(self, outcome: Any) -> None:
        self._fetching = None
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(outcome)  # a Failure is a fault of ours, and is told as one

    async def _ask(self) -> None:
        try:
            answer = await self._client.request("GET", self._url, timeout=TIMEOUT, max_bytes=MAX_BYTES)
            if answer.status != 200:
                raise HttpError(f"The answer has the status {answer.status}.")
            keys = read_key_set(answer.body, self._algorithm)
        except (HttpError, UnfitKey) as error:
            log.warning("keys_not_fetched", reason=str(error))
            return
        if self._keys is None:
            log.info("keys_fetched")
        self._keys, self._fetched = keys, self._now()
