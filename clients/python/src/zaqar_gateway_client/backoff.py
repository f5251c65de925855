"""When to connect again: full jitter, and what close codes ask for (docs/protocol.md, Closing)."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 0.5
"""Seconds within which the first attempt is made."""

LONGEST: Final = 20.0
"""Seconds within which later ones are made, at the most."""

RESTART_SPREAD: Final = 5.0
"""Seconds over which clients come back to a node that stopped (1012) without telling when."""

LIVED: Final = 1.0
"""Seconds after which a connection counts as one that worked."""

FRAME_TOO_LARGE: Final = 1009
SERVICE_RESTART: Final = 1012
AUTHENTICATION_EXPIRED: Final = 4003
DO_NOT_RECONNECT: Final = range(4000, 4100)
RECONNECT_AT_ONCE: Final = range(4200, 4300)


class Backoff:
    """Full jitter: each wait is drawn between 0 and a ceiling that doubles from `first` to `longest` seconds.

    So clients that lost their connection together do not come back together.
    """

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._ceiling = first

    def next(self) -> float:
        """Seconds to wait now."""
        wait = random.uniform(0, self._ceiling)
        self._ceiling = min(self._ceiling * 2, self._longest)
        return wait

    def reset(self) -> None:
        """It worked: begin from the first again."""
        self._ceiling = self._first


def wait_after_close(
    code: int | None, lived: float, told: float | None, renewable: bool, backoff: Backoff
) -> float | None:
    """Seconds to wait before connecting again, or None: never.

    :param code: the close code; None if the connection broke.
    :param lived: seconds that the connection lasted.
    :param told: seconds that the gateway asked to wait (the event `draining`), or None.
    :param renewable: whether a new token can be had, without which 4003 is final.
    """
    if told is not None:
        return told
    if code == AUTHENTICATION_EXPIRED:
        at_once = renewable
        if not renewable:
            return None
    elif code in DO_NOT_RECONNECT:
        return None
    else:
        at_once = code in RECONNECT_AT_ONCE
    if at_once and lived >= LIVED:  # else two that refuse each other would spin
        return 0.0
    if code == SERVICE_RESTART:
        return random.uniform(0, RESTART_SPREAD)
    return backoff.next()
