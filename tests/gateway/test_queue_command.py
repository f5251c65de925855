"""`zaqar-gateway queue move`, as a program beside a running gateway."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded.valkey import EmbeddedValkey
from gateway.move_progress import MoveProgress
from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from storage.errors import StaleQueue
from storage.mover import Progress
from storage.pools import Pool
from storage.records import Queue
from storage.redis.store import RedisStore
from tests.support.gateway import ROOT, Gateway, start_gateway
from tests.support.moves import contents, fill, value_of
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server, start_valkey
from tests.support.store import LiveQueue, connected, connected_to


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", "queue", "move", *arguments]


def move(data_dir: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command to its end: exit code, stdout, stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZAQAR_GATEWAY_")}
    done = subprocess.run(
        command(*arguments, "--data-dir", str(data_dir)),
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose catalog gets pools and queues that others should not see."""
    # Its sweeper would deliver the dead letters that are to move.
    with start_gateway(tmp_path_factory.mktemp("own") / "data", "--sweep-interval", "3600") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The store of another pool."""
    with start_valkey(tmp_path_factory.mktemp("there"), appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def catalog(own: Gateway, there: Server) -> Iterator[SQLCatalog]:
    """The gateway's catalog, with a pool `there`."""
    catalog = SQLCatalog(reactor, sqlite_url(own.data_dir / "catalog.sqlite"))
    run(catalog.start)
    if run(catalog.get_pool, "there") is None:
        run(catalog.create_pool, Pool("there", there.url, weight=0))
    yield catalog
    run(catalog.stop)


@pytest.fixture
def here(own: Gateway) -> Iterator[RedisStore]:
    """The embedded store."""
    with connected_to(EmbeddedValkey(own.data_dir, "always", reactor).url) as store:
        yield store


def new_queue(catalog: SQLCatalog, store: RedisStore, name: str, project: str = "p") -> LiveQueue:
    live = LiveQueue(store, name, clock_runs=True)
    live.queue = run(catalog.create_queue, project, name, {})[0]
    run(store.create, live.queue)
    return live


def pool_of(catalog: SQLCatalog, live: LiveQueue) -> str:
    found: Queue | None = run(catalog.get_queue, live.queue.project, live.queue.name)
    assert found is not None
    return found.pool


def test_a_queue_moves_there_and_back(
    own: Gateway, there: Server, catalog: SQLCatalog, here: RedisStore
) -> None:
    live = new_queue(catalog, here, "jobs")
    fill(live)
    before = contents(here, live.queue)
    code, out, err = move(own.data_dir, "jobs", "--to", "there")
    assert (code, out) == (0, "queue jobs is in pool there now\n")
    assert "jobs: default -> there  100%  14 of 14 messages" in err
    assert pool_of(catalog, live) == "there"
    with connected(there) as store:
        assert contents(store, live.queue) == before
    assert move(own.data_dir, "jobs", "--to", "there") == (0, "queue jobs is in pool there already\n", "")
    assert move(own.data_dir, "jobs", "--to", "default", "--project", "p")[0] == 0
    assert contents(here, live.queue) == before
    assert pool_of(catalog, live) == "default"


def test_what_cannot_be_done_is_one_line(
    own: Gateway, catalog: SQLCatalog, here: RedisStore, there: Server, tmp_path: Path
) -> None:
    for project in ("p", "o"):
        new_queue(catalog, here, "twins", project)
    new_queue(catalog, here, "single")
    for name, uri in (
        ("same", EmbeddedValkey(own.data_dir, "always", reactor).url),
        ("away", f"unix://{tmp_path}/nobody"),
        ("broken", "nonsense://x"),
    ):
        run(catalog.create_pool, Pool(name, uri, weight=0))
    evicting = there.client()
    for arguments, message in (
        (("nobody", "--to", "there"), "there is no queue nobody"),
        (("single", "--to", "there", "--project", "o"), "there is no queue single in project o"),
        (("twins", "--to", "there"), "several projects have a queue twins, o and p among them"),
        (("single", "--to", "nowhere"), "there is no pool nowhere"),
        (("single", "--to", "same"), "default and same are one store"),
        (("single", "--to", "away"), "the store of pool away: "),
        (("single", "--to", "broken"), "the store of pool broken: It must begin with redis://"),
    ):
        code, out, err = move(own.data_dir, *arguments)
        assert (code, out) == (1, "")
        assert err.splitlines()[-1].startswith("zaqar-gateway: error: ")
        assert message in err
        assert "Traceback" not in err
    evicting.config_set("maxmemory-policy", "allkeys-lru")
    try:
        code, _, err = move(own.data_dir, "single", "--to", "there")
    finally:
        evicting.config_set("maxmemory-policy", "noeviction")
    assert (code, "allkeys-lru" in err) == (1, True)
    assert run(catalog.list_moves, -1, 10) == []


def test_without_a_gateway_it_says_to_start_it(tmp_path: Path) -> None:
    code, _, err = move(tmp_path / "none", "jobs", "--to", "there")
    assert (code, "no gateway has run on the data folder" in err) == (1, True)
    assert not (tmp_path / "none").exists()
    with start_gateway(tmp_path / "data") as gateway:
        pass
    catalog = SQLCatalog(reactor, sqlite_url(gateway.data_dir / "catalog.sqlite"))
    run(catalog.start)
    run(catalog.create_queue, "p", "jobs", {})
    run(catalog.create_pool, Pool("there", "redis://x", weight=0))
    run(catalog.stop)
    code, _, err = move(gateway.data_dir, "jobs", "--to", "there")
    assert (code, "Is a gateway running on the data folder" in err) == (1, True)


def tokens(catalog: SQLCatalog) -> set[bytes]:
    """Those of the moves under way."""
    return {found.token for found in run(catalog.list_moves, -1, 10)} - {b""}


def test_killed_or_stopped_anywhere_the_same_command_finishes(
    own: Gateway, there: Server, catalog: SQLCatalog, here: RedisStore
) -> None:
    """Stopped as soon as it has recorded that it is at it: it copies then."""
    live = new_queue(catalog, here, "large")
    live.post_many(20_000)
    live.post_many(100, delay=600)
    live.claim(limit=20, ttl=3600)
    before = contents(here, live.queue)
    seen: set[bytes] = set()
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(
            command("large", "--to", "there", "--data-dir", str(own.data_dir)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: tokens(catalog) - seen, timeout=30)  # noqa: B023  # called within the round
        seen |= tokens(catalog)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number
            assert "the same command continues it" in err
        assert pool_of(catalog, live) == "default"
        live.post("still here")
        live.pop(1)
        before = contents(here, live.queue)
    assert move(own.data_dir, "large", "--to", "there")[0] == 0
    with connected(there) as store:
        assert contents(store, live.queue) == before
    assert value_of(here, live.queue, "messages") is None
    with pytest.raises(StaleQueue):
        live.post("gone")


def test_a_move_is_given_up(own: Gateway, there: Server, catalog: SQLCatalog, here: RedisStore) -> None:
    live = new_queue(catalog, here, "stays")
    live.post("a")
    run(catalog.begin_move, live.queue, "there")
    code, out, _ = move(own.data_dir, "stays", "--to", "default")
    assert (code, out) == (0, "queue stays stays in pool default; its move to there was given up\n")
    assert run(catalog.get_move, live.queue) is None
    assert live.bodies() == ["a"]


def test_a_move_to_a_pool_that_has_died_is_given_up(
    own: Gateway, catalog: SQLCatalog, here: RedisStore, tmp_path: Path
) -> None:
    live = new_queue(catalog, here, "unlucky")
    run(catalog.create_pool, Pool("dead", f"unix://{tmp_path}/nobody", weight=0))
    run(catalog.begin_move, live.queue, "dead")
    code, out, err = move(own.data_dir, "unlucky", "--to", "default")
    assert (code, out) == (0, "queue unlucky stays in pool default; its move to dead was given up\n")
    assert "the store of pool dead: " in err
    run(catalog.delete_pool, "dead")


def test_the_bar_of_a_terminal() -> None:
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:
        progress = MoveProgress(terminal, "jobs: a -> b", 200)
        progress.tell(Progress("copying", 0, 0))
        progress.tell(Progress("copying", 100, 7))
        progress.end()
    shown = ""
    with contextlib.suppress(OSError):  # the other side is closed
        shown = os.read(master, 1000).decode()
    os.close(master)
    assert "\rjobs: a -> b  [############............]  50%  100 of 200 messages" in shown
    assert "7 changes left" in shown
