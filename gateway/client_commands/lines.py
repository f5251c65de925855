"""Lines of stdin, in batches of what has come, without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

_CHUNK = 65_536


async def read_lines(descriptor: int) -> AsyncIterator[list[bytes]]:
    """The lines that have come, as soon as there are any, without their ends; all that are left at the end.

    Raises `OSError` if it cannot be read.
    """
    rest = b""
    while chunk := await _read(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


async def _read(descriptor: int) -> bytes:
    """Read in a thread: a file cannot be waited for, and a terminal should not be made non-blocking.

    A daemon, because nothing else ends a read that waits for somebody to type.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        try:
            result: bytes | OSError = os.read(descriptor, _CHUNK)
        except OSError as error:
            result = error
        loop.call_soon_threadsafe(settle, result)

    def settle(result: bytes | OSError) -> None:
        if found.done():
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return await found
