"""Sixteen writers on one database, each with connections of its own, as sixteen gateways would."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from storage.catalog.engine import sqlite_url
from storage.catalog.sql import SQLCatalog
from tests.support.reactor import reactor, run

WRITERS = 16
CHANGES = 10

WRITER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from storage.catalog.sql import SQLCatalog

async def main(url, worker):
    catalog = SQLCatalog(reactor, url, timeout=60)
    await catalog.start()
    for number in range(50):
        queue, created = await catalog.create_queue("p", f"q{worker}-{number}", {})
        assert created and await catalog.update_queue(queue, {"a": 1})
    await catalog.stop()
    print("done")

def end(result):
    if result is not None:
        print(result)
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(*sys.argv[1:])).addBoth(end))
reactor.run()
"""


def test_none_of_sixteen_writers_is_turned_away(make_catalog: Callable[..., SQLCatalog]) -> None:
    catalogs = [make_catalog(timeout=60) for _ in range(WRITERS)]
    run(catalogs[0].create_queue, "p", "shared", {"count": 0})

    def write(writer: int) -> None:
        catalog = catalogs[writer]
        for number in range(CHANGES):
            queue, created = run(catalog.create_queue, "p", f"q{writer}-{number}", {}, timeout=60)
            assert created
            assert run(catalog.update_queue, queue, {"number": number}, timeout=60)
            while True:
                shared = run(catalog.get_queue, "p", "shared", timeout=60)
                assert shared is not None
                changed = {"count": shared.metadata["count"] + 1}
                if run(catalog.update_queue, shared, changed, timeout=60):
                    break

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))
    shared = run(catalogs[0].get_queue, "p", "shared")
    assert shared is not None
    assert shared.metadata == {"count": WRITERS * CHANGES}
    assert len(run(catalogs[0].list_queues, "p", "", 1000)) == WRITERS * CHANGES + 1


def test_processes_share_one_sqlite_file(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "catalog.sqlite")
    catalog = SQLCatalog(reactor, url)
    run(catalog.start, upgrade=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(worker)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for worker in range(4)
    ]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["done\n"] * 4
    assert len(run(catalog.list_queues, "p", "", 1000)) == 200
    run(catalog.stop)
