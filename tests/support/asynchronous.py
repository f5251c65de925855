"""Tests of asyncio code: each runs in an event loop of its own, which ends in time.

::

    @asynchronous
    async def test_it(gateway: Gateway) -> None: ...
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec

P = ParamSpec("P")

PATIENCE: Final = 30.0
"""Seconds that anything may take that is waited for."""


def asynchronous(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a coroutine function as a test. Its own limit is pytest's."""

    @functools.wraps(test)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        asyncio.run(test(*arguments, **options))

    return run


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something holds that no event tells of. Raises `TimeoutError`."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
