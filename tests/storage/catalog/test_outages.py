"""Databases that go away, break connections and deadlock, under a catalog that is in use."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text, update
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from storage.catalog import schema, transactions
from storage.catalog.engine import make_engine
from storage.catalog.sql import SQLCatalog
from storage.catalog.tables import queues
from storage.catalog.threads import Call
from storage.catalog.transactions import Outage, Transactions
from storage.errors import CatalogUnavailable, NameTaken
from storage.pools import Pool
from storage.records import Queue
from tests.support.databases import DatabaseServer
from tests.support.reactor import eventually, reactor, run, wait_until


@pytest.fixture
def url(database_server: DatabaseServer) -> Iterator[str]:
    with database_server.database() as url:
        yield url


@pytest.fixture
def catalog(url: str) -> Iterator[SQLCatalog]:
    catalog = SQLCatalog(reactor, url, timeout=20)
    run(catalog.start, upgrade=True)
    yield catalog
    run(catalog.stop)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url, timeout=10, connections=5)
    schema.upgrade(engine)
    yield engine
    engine.dispose()


# The server


def test_a_restart_under_load_fails_nothing_that_can_be_done_again(
    database_server: DatabaseServer, catalog: SQLCatalog
) -> None:
    acknowledged: dict[str, int] = {}
    unknown: list[str] = []
    stopping = False

    async def work(worker: int) -> None:
        number = 0
        while not stopping:
            name = f"q{worker}-{number}"
            queue, created = await catalog.create_queue("p", name, {})
            assert created
            acknowledged[name] = queue.incarnation
            assert await catalog.get_queue("p", name) == queue
            try:
                assert await catalog.update_queue(queue, {"a": 1})
            except CatalogUnavailable as error:
                assert "may have been made" in str(error)
                unknown.append(name)
            number += 1

    async def scenario() -> None:
        nonlocal stopping
        workers = [Deferred.fromCoroutine(work(worker)) for worker in range(8)]
        for end in (database_server.stop, database_server.kill):
            done = len(acknowledged)
            await eventually(lambda: len(acknowledged) > done + 20)  # noqa: B023  # waited for within the round
            await deferToThread(end)
            await deferToThread(database_server.start)
        done = len(acknowledged)
        await eventually(lambda: len(acknowledged) > done + 20)
        stopping = True
        for worker in workers:
            await worker

    run(scenario, timeout=120)
    listed: list[Queue] = []
    while page := run(catalog.list_queues, "p", listed[-1].name if listed else "", 1000):
        listed += page
    assert {queue.name: queue.incarnation for queue in listed} == acknowledged
    assert {queue.name for queue in listed if queue.metadata != {"a": 1}} <= set(unknown)


def test_what_comes_while_the_server_is_away_waits_for_it(
    database_server: DatabaseServer, catalog: SQLCatalog
) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {})
    database_server.stop()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(run, catalog.get_queue, "p", "q")
        wait_until(lambda: catalog._outage._since is not None)
        database_server.start()
        assert waiting.result() == queue


def test_a_server_that_stays_away_is_not_waited_for_again(
    database_server: DatabaseServer, catalog: SQLCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "RECONNECT", 2)
    attempts: list[object] = []
    event.listen(catalog._engine, "do_connect", lambda *_: attempts.append(None))
    database_server.stop()
    try:
        with pytest.raises(CatalogUnavailable, match="does not answer"):
            run(catalog.ping)
        assert len(attempts) > 1
        attempts.clear()
        with pytest.raises(CatalogUnavailable, match="does not answer"):
            run(catalog.ping)
        assert len(attempts) == 1
    finally:
        database_server.start()
    run(catalog.ping)
    assert catalog._outage._since is None


def test_connections_that_were_idle_for_too_long_fail_no_request(mariadb: DatabaseServer) -> None:
    with mariadb.database() as url:
        catalog = SQLCatalog(reactor, url)
        mariadb.execute("SET GLOBAL wait_timeout = 3")
        try:
            run(catalog.start, upgrade=True)

            async def all_at_once() -> None:
                for call in [Deferred.fromCoroutine(catalog.ping()) for _ in range(16)]:
                    await call

            for _ in range(2):
                run(all_at_once)
                wait_until(lambda: _sessions(mariadb, url) == 0)
            run(all_at_once)
        finally:
            mariadb.execute("SET GLOBAL wait_timeout = 28800")
            run(catalog.stop)


def test_a_start_waits_for_the_server(database_server: DatabaseServer, url: str) -> None:
    database_server.stop()
    catalog = SQLCatalog(reactor, url, timeout=1)
    attempts: list[object] = []
    event.listen(catalog._engine, "do_connect", lambda *_: attempts.append(None))
    started = run(lambda: [Deferred.fromCoroutine(catalog.start(patience=60, upgrade=True))])[0]
    run(eventually, lambda: len(attempts) > 2)
    database_server.start()
    run(lambda: started)
    run(catalog.ping)
    run(catalog.stop)


def test_a_start_that_fails_says_why(database_server: DatabaseServer) -> None:
    missing = database_server.url.set(database="missing").render_as_string(hide_password=False)
    with pytest.raises(CatalogUnavailable, match=r"does not answer: .*missing"):
        run(SQLCatalog(reactor, missing).start, patience=0.3)


# The connection


def test_a_connection_that_breaks_before_the_commit_costs_nothing(
    database_server: DatabaseServer, catalog: SQLCatalog
) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {})
    for call in (
        lambda: catalog.create_queue("p", "r", {}),
        lambda: catalog.update_queue(queue, {"a": 1}),
        lambda: catalog.create_pool(Pool("ssd", "redis://x", 1)),
        lambda: catalog.delete_pool("ssd"),
    ):
        with _breaking(database_server, catalog._engine, "before_cursor_execute") as broken:
            run(call)
        assert broken.is_set()
    assert [queue.name for queue in run(catalog.list_queues, "p", "", 10)] == ["q", "r"]


def test_a_commit_whose_answer_is_lost_is_done_again_where_that_does_no_harm(
    database_server: DatabaseServer, catalog: SQLCatalog
) -> None:
    with _breaking(database_server, catalog._engine, "commit"):
        queue, created = run(catalog.create_queue, "p", "q", {})
    assert created
    assert run(catalog.get_queue, "p", "q") == queue
    with _breaking(database_server, catalog._engine, "commit"):
        run(catalog.delete_queue, queue)
    assert run(catalog.get_queue, "p", "q") is None
    with _breaking(database_server, catalog._engine, "commit"):
        changed = run(lambda: catalog.update_pool("default", weight=7))
    assert changed.weight == 7


def test_a_commit_whose_answer_is_lost_is_told_where_it_cannot_be_done_again(
    database_server: DatabaseServer, catalog: SQLCatalog
) -> None:
    queue, _ = run(catalog.create_queue, "p", "q", {})
    with (
        _breaking(database_server, catalog._engine, "commit"),
        pytest.raises(CatalogUnavailable, match="may have been made"),
    ):
        run(catalog.update_queue, queue, {"a": 1})
    changed = run(catalog.get_queue, "p", "q")
    assert changed is not None
    assert (changed.metadata, changed.serial) == ({"a": 1}, 1)
    with (
        _breaking(database_server, catalog._engine, "commit"),
        pytest.raises(CatalogUnavailable, match="may have been made"),
    ):
        run(catalog.create_pool, Pool("ssd", "redis://x", 1))
    with pytest.raises(NameTaken):
        run(catalog.create_pool, Pool("ssd", "redis://x", 1))


# Deadlocks


def test_a_deadlock_is_done_again(engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(2):
            values = {"name": f"q{number}", "project": "p", "metadata": "{}", "serial": 0, "created": 0}
            connection.execute(queues.insert().values(incarnation=number, **values))
    meet = threading.Barrier(2)
    runs: list[int] = []

    def cross(first: int) -> None:
        def work(connection: Connection) -> None:
            again = first in runs
            runs.append(first)
            for step in (first, 1 - first):
                statement = update(queues).where(queues.c.incarnation == step)
                connection.execute(statement.values(serial=queues.c.serial + 1))
                if step == first and not again:
                    meet.wait(20)

        Transactions(engine, Outage(), Call(20)).write(work)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        list(threads.map(cross, range(2)))
    assert len(runs) == 3
    with engine.connect() as connection:
        assert list(connection.scalars(text("SELECT serial FROM queues"))) == [2, 2]


def test_a_deadlock_that_does_not_end_is_unavailable(engine: Engine, url: str) -> None:
    impatient = make_engine(url, timeout=0.2)
    lock = text("SELECT id FROM pools WHERE name = 'default' FOR UPDATE")
    with engine.begin() as connection:
        connection.execute(lock)
        with pytest.raises(CatalogUnavailable, match="Others change the same") as caught:
            Transactions(impatient, Outage(), Call(0.5)).write(lambda other: other.execute(lock))
    assert caught.value.__cause__ is not None
    impatient.dispose()


def test_nothing_is_done_again_for_nobody(engine: Engine, url: str) -> None:
    impatient = make_engine(url, timeout=0.2)
    lock = text("SELECT id FROM pools WHERE name = 'default' FOR UPDATE")
    call = Call(20)
    runs: list[object] = []

    def work(connection: Connection) -> None:
        runs.append(None)
        call.give_up()
        connection.execute(lock)

    with engine.begin() as connection:
        connection.execute(lock)
        with pytest.raises(CatalogUnavailable):
            Transactions(impatient, Outage(), call).write(work)
    assert len(runs) == 1
    impatient.dispose()


class _breaking:
    """Within it the server ends the session of the first transaction that writes, at an event of the engine.

    `commit`: right after it has committed, so that the answer is lost.
    """

    def __init__(self, server: DatabaseServer, engine: Engine, name: str) -> None:
        self._server = server
        self._engine = engine
        self._name = name
        self._done = threading.Event()

    def __enter__(self) -> threading.Event:
        event.listen(self._engine, self._name, self._break)
        return self._done

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, self._name, self._break)

    def _break(self, connection: Connection, *rest: Any) -> None:
        writes = connection.get_execution_options().get("catalog_writes")
        if not writes or self._done.is_set():
            return
        self._done.set()
        raw: Any = connection.connection.dbapi_connection
        if self._name == "commit":
            raw.commit()
            # psycopg commits nothing where no transaction was begun.
            raw.cursor().execute("SELECT 1")
        if self._engine.name == "mysql":
            session, statement = raw.thread_id(), "KILL CONNECTION {}"
        else:
            session, statement = raw.info.backend_pid, "SELECT pg_terminate_backend({})"
        self._server.execute(statement.format(session))
        wait_until(lambda: not _lives(self._server, session))


def _lives(server: DatabaseServer, session: int) -> bool:
    table = (
        "information_schema.processlist WHERE id"
        if server.url.drivername.startswith("mysql")
        else ("pg_stat_activity WHERE pid")
    )
    with server.engine().connect() as connection:
        return bool(connection.scalar(text(f"SELECT count(*) FROM {table} = {session}")))


def _sessions(server: DatabaseServer, url: str) -> int:
    name = url.partition("?")[0].rpartition("/")[2]
    statement = text(f"SELECT count(*) FROM information_schema.processlist WHERE db = '{name}'")
    with server.engine().connect() as connection:
        return int(connection.scalar(statement) or 0)
