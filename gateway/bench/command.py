"""Runs a load from beginning to end, and says what it measured."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bench.client import BenchError
from gateway.bench.figures import Figures, Progress, figures, table
from gateway.bench.loads import Bench
from gateway.bench.options import Options
from gateway.settings import mask_url

STOP_TIMEOUT = 10.0
"""Seconds that a load has to end and to remove its queue after SIGINT or SIGTERM."""


def run(options: Options) -> int:
    """Run the load; the figures go to stdout, and to a file if the options name one.

    SIGINT ends it early, with the figures so far.

    :return: the exit code: 0, or 1 if a request was refused.
    :raises BenchError: the load could not be done.
    """
    # The reactor is installed on import: only now is it known that one is wanted.
    from twisted.internet import reactor  # noqa: PLC0415

    return _Run(reactor, options).run()


class _Run:
    def __init__(self, reactor: Any, options: Options) -> None:
        self._reactor = reactor
        self._options = options
        self._bench = Bench(reactor, options, Progress())
        self._failure: Failure | None = None
        self._ended: Deferred[None] = Deferred()

    def run(self) -> int:
        cpu = os.times()
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._reactor.run()
        if self._failure is not None:
            self._failure.raiseException()
        now = os.times()
        used = now.user + now.system - cpu.user - cpu.system
        self._report(used / (now.elapsed - cpu.elapsed))
        return 1 if self._bench.refused else 0

    def _start(self) -> None:
        running = Deferred.fromCoroutine(self._bench.run())
        running.addErrback(self._failed)
        running.chainDeferred(self._ended)
        running.addCallback(lambda _: self._reactor.running and self._reactor.stop())

    def _failed(self, failure: Failure) -> None:
        self._failure = failure

    def _stop(self) -> Deferred[None]:
        """The reactor ends when the load has; a signal makes it end before its time."""
        self._bench.stop()
        return self._ended.addTimeout(STOP_TIMEOUT, self._reactor)

    def _report(self, load_cpu: float) -> None:
        bench, options = self._bench, self._options
        rows = [figures(action, seen, bench.spent) for action, seen in bench.latencies.items()]
        url = mask_url(options.url)
        sys.stdout.write(
            f"{options.load} on {url}: {options.sockets} sockets, {bench.spent:.1f} s, "
            f"messages of {options.size} bytes\n\n{_table(rows)}\n"
        )
        for what, count in bench.refused.items():
            sys.stdout.write(f"refused: {what}, {count} times\n")
        sys.stdout.write(f"The load itself took {load_cpu:.0%} of a core.\n")
        if load_cpu > 0.85:
            sys.stdout.write("That is about all it can have: the server may be faster than these figures.\n")
        if options.json is not None:
            document = {
                **asdict(options),
                "url": url,
                "token": None,
                "json": None,
                "spent": bench.spent,
                "figures": [asdict(row) for row in rows],
                "refused": dict(bench.refused),
                "load_cpu": load_cpu,
            }
            try:
                options.json.write_bytes(json.format(json.encode(document)) + b"\n")
            except OSError as error:
                raise BenchError(f"cannot write {options.json}: {error.strerror}") from error


def _table(rows: list[Figures]) -> str:
    shown = [["action", "operations", "per second", "p50 ms", "p99 ms", "max ms"]]
    for row in rows:
        latencies = [f"{value:.2f}" for value in (row.p50_ms, row.p99_ms, row.max_ms)]
        shown.append([row.action, str(row.operations), f"{row.per_second:.1f}", *latencies])
    return table(shown)
