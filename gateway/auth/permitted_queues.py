"""The queues of a project that a token's rights let be listed, in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from gateway.auth.rights import Rights
from protocol.errors import NotPermitted
from protocol.names import is_queue_name
from storage.base import Catalog
from storage.records import Queue

CHUNK = 200
"""Queues that the catalog is asked for at once."""

MAX_CHUNKS = 500
"""Times that it is asked for one page, or for one count."""

ALL = "*"
"""The pattern of every queue."""

_HIGHEST = "\x7f"
"""Comes after every character that a queue's name has."""


async def list_permitted(
    catalog: Catalog, project: str, rights: Rights, after: str, limit: int
) -> list[Queue]:
    """Up to `limit` queues whose names come after `after`. NotPermitted, and what the catalog raises."""
    found: list[Queue] = []

    def take(queues: Sequence[Queue]) -> bool:
        found.extend(queues)
        return len(found) < limit

    await _look(catalog, project, rights, after, take)
    return found[:limit]


async def count_permitted(catalog: Catalog, project: str, rights: Rights) -> int:
    """How many queues of a project may be listed. Raises NotPermitted, and what the catalog raises."""
    if ALL in rights.listed:
        return await catalog.count_queues(project)
    count = 0

    def take(queues: Sequence[Queue]) -> bool:
        nonlocal count
        count += len(queues)
        return True

    await _look(catalog, project, rights, "", take)
    return count


async def _look(
    catalog: Catalog, project: str, rights: Rights, after: str, take: Callable[[Sequence[Queue]], bool]
) -> None:
    """Give `take` the queues that may be listed and come after `after`, in parts, as long as it wants more.

    Only where a pattern can match is looked: between the first and the last name that begin as it does.
    """
    prefixes = [re.split(r"[*?]", pattern, maxsplit=1)[0] for pattern in rights.listed]
    prefixes = [prefix for prefix in prefixes if not prefix or is_queue_name(prefix)]  # others have no names
    for _ in range(MAX_CHUNKS):
        start = next_start(prefixes, after)
        if start is None:
            return
        queues = await catalog.list_queues(project, start, CHUNK)
        more = take([queue for queue in queues if rights.permits("queue_list", queue.name)])
        if len(queues) < CHUNK or not more:
            return
        after = queues[-1].name
    raise NotPermitted(
        f"{CHUNK * MAX_CHUNKS} queues were looked at for those that may be listed, and there are more: the "
        "patterns of the token have to say how the names begin."
    )


def next_start(prefixes: Iterable[str], after: str) -> str | None:
    """Behind which name the next one can be that begins in one of these ways; None if there can be none."""
    starts = [max(after, _before(prefix)) for prefix in prefixes if after < prefix + _HIGHEST]
    return min(starts, default=None)


def _before(prefix: str) -> str:
    """What comes before all names that begin so, and after all other names that come before those."""
    return prefix and prefix[:-1] + chr(ord(prefix[-1]) - 1) + _HIGHEST
