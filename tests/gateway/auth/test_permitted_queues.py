"""Lists of the queues that a token's rights let be listed: exact, in pages, without looking everywhere."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import permitted_queues
from gateway.auth.permitted_queues import count_permitted, list_permitted
from gateway.auth.rights import read_rights
from protocol.errors import NotPermitted
from storage.base import Catalog
from storage.records import Queue


class Names:
    """A catalog of queues with these names."""

    def __init__(self, names: set[str]) -> None:
        self.queues = [Queue(project="p", name=name, incarnation=0) for name in sorted(names)]
        self.looked_at = 0

    async def count_queues(self, project: str) -> int:
        return len(self.queues)

    async def list_queues(self, project: str, after: str, limit: int) -> list[Queue]:
        found = [queue for queue in self.queues if queue.name > after][:limit]
        self.looked_at += len(found)
        return found


def counted(catalog: Names, *patterns: str) -> int:
    rights = read_rights({"queues": {pattern: ["queue_list"] for pattern in patterns}})
    return asyncio.run(count_permitted(cast(Catalog, catalog), "p", rights))


def listed(catalog: Names, patterns: list[str], after: str = "", limit: int = 20) -> list[str]:
    rights = read_rights({"queues": {pattern: ["queue_list"] for pattern in patterns}})
    page = asyncio.run(list_permitted(cast(Catalog, catalog), "p", rights, after, limit))
    return [queue.name for queue in page]


characters = "-.09AZ_az"


@given(
    st.sets(st.text(st.sampled_from(characters), min_size=1, max_size=4), max_size=40),
    st.lists(st.text(st.sampled_from(characters + "*?"), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 7),
)
def test_all_pages_together_are_what_is_permitted(
    names: set[str], patterns: list[str], limit: int, chunk: int
) -> None:
    rights = read_rights({"queues": {pattern: ["queue_list"] for pattern in patterns}})
    catalog, seen, after = Names(names), list[str](), ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permitted_queues, "CHUNK", chunk)
        while page := listed(catalog, patterns, after, limit):
            seen += page
            after = page[-1]
            if len(page) < limit:
                break
        assert counted(catalog, *patterns) == len(seen)
    assert seen == sorted(name for name in names if rights.permits("queue_list", name))


def test_it_is_looked_where_names_begin_so() -> None:
    catalog = Names({f"a{i:05}" for i in range(3_000)} | {"m.1", "m.2", "n.1", "z.1"})
    assert listed(catalog, ["m.*", "z.*"]) == ["m.1", "m.2", "z.1"]
    assert catalog.looked_at < 10


@pytest.mark.parametrize("pattern", ["\0*", "a\0", "é*", "[a]*", " ", "\x7f*"])
def test_patterns_that_no_name_matches(pattern: str) -> None:
    assert listed(Names({"a", "b"}), [pattern, "b"]) == ["b"]


def test_it_is_not_looked_for_ever() -> None:
    catalog = Names({f"a{i:05}" for i in range(permitted_queues.CHUNK * 3)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permitted_queues, "MAX_CHUNKS", 2)
        with pytest.raises(NotPermitted, match="begin"):
            listed(catalog, ["*z"])


def test_it_is_not_counted_for_ever() -> None:
    catalog = Names({f"a{i:05}" for i in range(permitted_queues.CHUNK * 3)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permitted_queues, "MAX_CHUNKS", 2)
        assert counted(catalog, "a0000*") == 10
        assert counted(catalog, "*") == permitted_queues.CHUNK * 3
        with pytest.raises(NotPermitted, match="begin"):
            counted(catalog, "*9")
