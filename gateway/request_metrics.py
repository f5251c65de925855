"""Counts of answered requests, which come ten thousand times a second.

prometheus_client's own counters take a lock for each addition, three for each request. All requests are
answered in the reactor's thread, so plain numbers do.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS = (*map(floatToGoString, _BUCKETS), "+Inf")

_SECONDS = "zaqar_gateway_request_seconds"


class _Durations:
    """How long the requests of one action took."""

    __slots__ = ("created", "seconds", "up_to")

    def __init__(self) -> None:
        self.created = time.time()
        self.seconds = 0.0
        self.up_to = [0] * len(_BOUNDS)
        """How many took up to each bound, and longer than the one before."""


class RequestMetrics(Collector):
    """Counts by action and status, and durations by action."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._created: dict[tuple[str, int], float] = {}
        self._durations: dict[str, _Durations] = {}

    def done(self, action: str, status: int, seconds: float) -> None:
        """A request was answered, so many seconds after it was taken up."""
        key = (action, status)
        try:
            self._counts[key] += 1
            durations = self._durations[action]
        except KeyError:
            durations = self._first(key)
        durations.up_to[bisect_left(_BUCKETS, seconds)] += 1
        durations.seconds += seconds

    def _first(self, key: tuple[str, int]) -> _Durations:
        self._counts[key] = 1
        self._created[key] = time.time()
        return self._durations.setdefault(key[0], _Durations())

    def collect(self) -> Iterator[Metric]:
        """What there is to tell, for the registry."""
        requests = CounterMetricFamily(
            "zaqar_gateway_requests", "Requests answered.", labels=["action", "status"]
        )
        for (action, status), count in self._counts.items():
            created = self._created[action, status]
            requests.add_metric([action, str(status)], count, created=created)
        yield requests
        seconds = HistogramMetricFamily(
            _SECONDS, "Time from taking up a request to its reply.", labels=["action"]
        )
        for action, durations in self._durations.items():
            buckets = [*zip(_BOUNDS, map(float, accumulate(durations.up_to)), strict=True)]
            seconds.add_metric([action], buckets, durations.seconds)
            seconds.add_sample(f"{_SECONDS}_created", {"action": action}, durations.created)
        yield seconds
