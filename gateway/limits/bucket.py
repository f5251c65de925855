"""A token bucket: so many requests per second on average, and some more at once."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens, one at the least, and gets `rate` of them per second. It begins full."""

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._tokens = max(burst, 1.0)
        self._since = 0.0

    def take(self, now: float) -> float:
        """Take a token: 0.0. Or the seconds until there is one; then none was taken.

        `now` is in seconds on any clock that does not go back.
        """
        tokens = self._tokens + (now - self._since) * self._rate
        tokens = min(tokens, self._burst)
        self._since = now
        if tokens < 1:
            self._tokens = tokens
            return (1 - tokens) / self._rate
        self._tokens = tokens - 1
        return 0.0
