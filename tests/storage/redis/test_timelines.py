"""Which server wrote what: who has got what another one does not have is told from where on it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.records import Gap, Start
from storage.redis.timeline import timeline
from tests.support.reactor import run
from tests.support.servers import Server, start_valkey
from tests.support.store import SECOND, LiveQueue, connected, new_queue, put_on_timeline

OLD, NEW, NEWER = b"the old.", b"the new.", b"a newer."


@pytest.fixture
def jobs(store_server: Server) -> Iterator[LiveQueue]:
    with connected(store_server) as store:
        put_on_timeline(store, OLD)
        yield LiveQueue(store)


def gap(jobs: LiveQueue, position: int, on: bytes) -> tuple[int, int, str] | None:
    """What those miss who have got all up to a position of a timeline."""
    return run(jobs.store.find_gap, jobs.queue, position, on).gap


def test_what_a_server_lost_is_told_though_others_have_its_places_by_now(jobs: LiveQueue) -> None:
    first, second = jobs.post(1, 2)
    lost = second + 3
    assert gap(jobs, lost, OLD) is None
    put_on_timeline(jobs.store, NEW)
    posted = jobs.post(*range(5))
    assert lost in posted
    assert jobs.gap(lost) is None, "nobody can tell by the place alone"
    assert gap(jobs, lost, OLD) == (second, lost, "failover")
    assert gap(jobs, lost, NEW) is None
    assert gap(jobs, second, OLD) is gap(jobs, first, OLD) is None
    for sequence in posted:
        jobs.delete(sequence)
    assert gap(jobs, lost, OLD) == (second, lost, "failover")
    assert gap(jobs, lost, NEW) == (lost, posted[-1], "deleted")
    assert gap(jobs, first, OLD) == (first, posted[-1], "deleted")


def test_a_place_that_was_lost_is_gone_on_from_where_the_timelines_part(jobs: LiveQueue) -> None:
    _, second = jobs.post(1, 2)
    lost = second + 5 * SECOND
    put_on_timeline(jobs.store, NEW)
    jobs.post(3, 4)
    assert jobs.gap(lost) == gap(jobs, lost, OLD) == (second, lost, "failover")
    subscriber = jobs.store.subscribe(jobs.queue, "http://here", 600, {}, confirmed=True, start=Start(lost))
    made = run(lambda: subscriber)
    assert made is not None
    assert made[1:] == (second, Gap(second, lost, "failover"), NEW)


def test_what_is_lost_twice_is_told_from_the_timeline_that_one_was_on(jobs: LiveQueue) -> None:
    (first,) = jobs.post(1)
    put_on_timeline(jobs.store, NEW)
    (second,) = jobs.post(2)
    put_on_timeline(jobs.store, NEWER)
    jobs.post(3)
    lost = second + 5 * SECOND
    assert gap(jobs, lost, OLD) == (first, lost, "failover")
    assert gap(jobs, lost, NEW) == (second, lost, "failover")
    assert gap(jobs, lost, NEWER) is None
    assert gap(jobs, lost, b"unheard.") == (second, lost, "failover"), (
        "its own begins where the last one does"
    )


def test_a_connection_from_before_begins_no_timeline(jobs: LiveQueue) -> None:
    jobs.post(1)
    put_on_timeline(jobs.store, NEW)
    (second,) = jobs.post(2)
    put_on_timeline(jobs.store, OLD)
    jobs.post(3)
    assert run(jobs.store.sweep, jobs.queue).timeline == NEW
    assert gap(jobs, second, NEW) is None


def test_a_server_that_does_not_tell_is_judged_by_what_it_has(jobs: LiveQueue) -> None:
    put_on_timeline(jobs.store, b"")
    silent = LiveQueue(jobs.store)
    (first,) = silent.post(1)
    assert run(silent.store.sweep, silent.queue).timeline == b""
    assert gap(silent, first, OLD) is None
    assert gap(silent, first + SECOND, OLD) == (first, first + SECOND, "failover")


def test_each_answer_tells_the_timeline_of_its_positions(jobs: LiveQueue) -> None:
    for name in (OLD, NEW):
        put_on_timeline(jobs.store, name)
        assert run(jobs.store.sweep, jobs.queue).timeline == name
        assert jobs.page().timeline == name
        assert run(jobs.store.find_gap, jobs.queue, 0).timeline == name


def test_a_queue_remembers_a_few_timelines(jobs: LiveQueue) -> None:
    for number in range(10):
        put_on_timeline(jobs.store, b"%08d" % number)
        jobs.post(number)
    assert len(jobs._ask("HGET", b"zg:{%016x}:head" % jobs.queue.incarnation, "timelines")) == 4 * 15


def test_a_server_tells_another_timeline_when_it_is_started_again(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store") as server, connected(server) as store:
        queue = new_queue()
        run(store.create, queue)
        before = run(store.sweep, queue).timeline
        assert len(before) == 8
        assert run(store.sweep, queue).timeline == before
        run(store.client.execute, "SAVE")
        server.kill()
        server.restart()

        async def now() -> bytes:
            await store.client.connected(10)
            return (await store.sweep(queue)).timeline

        assert len(run(now)) == 8
        assert run(now) != before


def test_a_replica_that_takes_over_tells_another_one() -> None:
    said = b"run_id:one\r\nother:1\r\nmaster_replid:two\r\n"
    assert timeline(said) == timeline(b"# Server\r\n" + said)
    assert timeline(said) != timeline(said.replace(b"two", b"three"))
    assert timeline(said) != timeline(said.replace(b"one", b"three"))
    assert timeline(b"nothing:1\r\n") == b""
