"""What the catalog does in a file that can be locked, killed over and moved away, which SQLite's can."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from twisted.internet.defer import CancelledError, Deferred

from storage.catalog.engine import sqlite_url
from storage.catalog.schema import SchemaError
from storage.catalog.sql import SQLCatalog
from storage.errors import CatalogUnavailable
from storage.records import Queue
from tests.storage.catalog.conftest import MakeCatalog
from tests.support.reactor import eventually, reactor, run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "catalog.sqlite"


@pytest.fixture
def catalog_url(file: Path) -> str:
    """Of that file alone."""
    return sqlite_url(file)


def create(catalog: SQLCatalog, project: str, name: str, metadata: Mapping[str, Any] | None = None) -> Queue:
    answer: tuple[Queue, bool] = run(catalog.create_queue, project, name, metadata or {})
    assert answer[1]
    return answer[0]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Another process holds the lock to write."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def hanging(catalog: SQLCatalog) -> Iterator[threading.Event]:
    """The database takes a statement and does not answer; the event is set when it has taken one."""
    taken, released = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        taken.set()
        assert released.wait(30)

    event.listen(catalog._engine, "before_cursor_execute", hang)
    try:
        yield taken
    finally:
        released.set()  # From here on it waits no more.


def start_hanging_call(catalog: SQLCatalog, taken: threading.Event) -> Deferred[Any]:
    deferred: Deferred[Any] = run(
        lambda: [Deferred.fromCoroutine(catalog.ping()).addErrback(lambda failure: failure.value)]
    )[0]
    assert taken.wait(30)
    return deferred


# Races of creators


def test_a_creator_that_comes_second_gets_the_first_ones_queue(file: Path, catalog: SQLCatalog) -> None:
    writing = threading.Event()

    def watch(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            writing.set()

    event.listen(catalog._engine, "before_cursor_execute", watch)
    with locked(file) as other, concurrent.futures.ThreadPoolExecutor(1) as threads:
        other.execute("INSERT INTO queues VALUES (7, 'p', 'q', '{\"first\":1}', 0, 0, 'default')")
        answer = threads.submit(run, catalog.create_queue, "p", "q", {"second": 1})
        # It has looked, found nothing, and waits for the lock.
        assert writing.wait(30)
        other.execute("COMMIT")
        assert answer.result() == (Queue("p", "q", 7, {"first": 1}), False)


# Durability

CREATOR = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from storage.catalog.sql import SQLCatalog

async def main():
    catalog = SQLCatalog(reactor, sys.argv[1])
    await catalog.start(upgrade=True)
    for number in range(1000000):
        queue, _ = await catalog.create_queue("p", f"q{number}", {"number": number})
        print(queue.incarnation, flush=True)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


def test_what_was_acknowledged_survives_a_kill(file: Path, make_catalog: MakeCatalog) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", CREATOR, sqlite_url(file)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        # It went on for a moment. A last line that was cut off was not acknowledged.
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    catalog = make_catalog()
    for number, incarnation in enumerate(acknowledged):
        assert run(catalog.get_queue, "p", f"q{number}") == Queue(
            "p", f"q{number}", incarnation, {"number": number}
        )
    create(catalog, "p", "another")


def test_a_catalog_that_was_stopped_is_found_again(make_catalog: MakeCatalog, file: Path) -> None:
    first = make_catalog()
    queue = create(first, "p", "q")
    run(first.stop)
    assert [each.name for each in file.parent.iterdir()] == [file.name]  # The log was written back.
    assert run(make_catalog().get_queue, "p", "q") == queue


# Faults


def test_a_locked_database_is_unavailable_until_it_is_free(file: Path, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(timeout=2)
    queue = create(catalog, "p", "q")
    with locked(file):
        with pytest.raises(CatalogUnavailable):
            run(catalog.create_queue, "p", "r", {})
        # Readers do not wait for a writer.
        run(eventually, lambda: catalog._threads.idle)
        assert run(catalog.get_queue, "p", "q") == queue
    create(catalog, "p", "r")


def test_a_database_that_is_away_is_unavailable_until_it_is_back(file: Path, catalog: SQLCatalog) -> None:
    queue = create(catalog, "p", "q")
    file.parent.rename(file.parent.with_name("away"))
    for call in (catalog.ping, lambda: catalog.delete_queue(queue), lambda: catalog.update_queue(queue, {})):
        with pytest.raises(CatalogUnavailable, match="does not work") as caught:
            run(call)
        assert caught.value.__cause__ is not None
    file.parent.with_name("away").rename(file.parent)
    run(catalog.ping)
    assert run(catalog.get_queue, "p", "q") == queue


def test_a_database_without_its_tables_is_unavailable(file: Path, catalog: SQLCatalog) -> None:
    with sqlite3.connect(file) as other:
        other.execute("DROP TABLE queues")
    with pytest.raises(CatalogUnavailable):
        run(catalog.list_queues, "p", "", 10)


def test_a_statement_has_a_deadline(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(timeout=1)
    with hanging(catalog), pytest.raises(CatalogUnavailable, match="in time"):
        run(catalog.ping)
    run(eventually, lambda: catalog._threads.idle)
    run(catalog.ping)


def test_what_was_given_up_before_its_turn_is_not_done(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(timeout=1)
    with hanging(catalog) as taken:
        start_hanging_call(catalog, taken)
        with pytest.raises(CatalogUnavailable):
            run(catalog.create_queue, "p", "q", {})
    run(eventually, lambda: catalog._threads.idle)
    assert run(catalog.get_queue, "p", "q") is None


def test_a_caller_that_goes_away_leaves_its_turn_to_others(catalog: SQLCatalog) -> None:
    with hanging(catalog) as taken:
        first = start_hanging_call(catalog, taken)
        second = run(lambda: [Deferred.fromCoroutine(catalog.create_queue("p", "q", {}))])[0]

        def give_up() -> None:
            second.addErrback(lambda failure: failure.trap(CancelledError))
            second.cancel()

        run(give_up)
    run(eventually, lambda: first.called)
    assert run(catalog.get_queue, "p", "q") is None


def test_only_so_many_calls_may_wait(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(max_waiting=2)

    async def three() -> list[object]:
        started = [Deferred.fromCoroutine(catalog.ping()) for _ in range(3)]
        return [await deferred.addErrback(lambda failure: failure.value) for deferred in started[2:]]

    with hanging(catalog) as taken:
        first = start_hanging_call(catalog, taken)
        (refused,) = run(three)
        assert isinstance(refused, CatalogUnavailable)
        assert "Too many" in str(refused)
    run(eventually, lambda: first.called)
    run(catalog.ping)


# Start and stop


# In the mode `delete` not even reading is possible.
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_it_waits_for_a_database_at_the_start(file: Path, mode: str) -> None:
    with sqlite3.connect(file) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
    attempts: list[object] = []

    def attempt(*_: object) -> None:
        attempts.append(None)

    with locked(file):
        catalog = SQLCatalog(reactor, sqlite_url(file), timeout=1)
        event.listen(catalog._engine, "do_connect", attempt)
        started = run(lambda: [Deferred.fromCoroutine(catalog.start(patience=60, upgrade=True))])[0]
        run(eventually, lambda: len(attempts) > 2)
    run(lambda: started)
    create(catalog, "p", "q")
    run(catalog.stop)


def test_it_does_not_wait_for_ever_at_the_start(file: Path) -> None:
    file.write_bytes(b"this is no database, but some other kind of file" * 100)
    before = set(threading.enumerate())
    catalog = SQLCatalog(reactor, sqlite_url(file))
    with pytest.raises(CatalogUnavailable):
        run(catalog.start, patience=0.5)
    assert set(threading.enumerate()) <= before  # others may end meanwhile
    with pytest.raises(CatalogUnavailable, match="not running"):
        run(catalog.ping)


def test_tables_of_another_version_are_refused_and_left_alone(make_catalog: MakeCatalog, file: Path) -> None:
    run(make_catalog().stop)
    with sqlite3.connect(file) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="9999"):
        make_catalog()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_stopping_lets_what_waits_be_done(make_catalog: MakeCatalog) -> None:
    first = make_catalog()

    async def create_and_stop() -> bool:
        started = [Deferred.fromCoroutine(first.create_queue("p", f"q{n}", {})) for n in range(10)]
        await first.stop()
        await first.stop()
        return all([(await deferred)[1] for deferred in started])

    assert run(create_and_stop)
    assert len(run(make_catalog().list_queues, "p", "", 100)) == 10


def test_stopping_does_not_wait_for_a_database_that_hangs(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(timeout=1)
    thread = catalog._threads._pool.threads[0]
    with hanging(catalog) as taken:
        start_hanging_call(catalog, taken)
        run(catalog.stop, timeout=20)
        assert thread.daemon
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()
