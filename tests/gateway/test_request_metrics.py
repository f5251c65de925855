"""Counts of requests are told exactly as prometheus_client tells its own."""

from __future__ import annotations

import random
import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.request_metrics import _BUCKETS, RequestMetrics


def told(registry: CollectorRegistry) -> str:
    """What the registry tells, but for the times at which counters were made."""
    text = generate_latest(registry).decode()
    times = [float(found) for found in re.findall(r"^\w+_created\{.*\} (.*)", text, re.M)]
    assert all(moment > 1e9 for moment in times)
    return re.sub(r"^(\w+_created\{.*\}) .*", r"\1", text, flags=re.M)


def test_they_are_told_as_prometheus_clients_own() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    metrics = RequestMetrics()
    ours.register(metrics)
    counter = Counter("zaqar_gateway_requests", "Requests answered.", ["action", "status"], registry=theirs)
    histogram = Histogram(
        "zaqar_gateway_request_seconds",
        "Time from taking up a request to its reply.",
        ["action"],
        buckets=_BUCKETS,
        registry=theirs,
    )
    assert told(ours) == told(theirs)
    chance = random.Random(7)
    durations = [*_BUCKETS, 0.0, 10.001, 99.0, *(10 ** chance.uniform(-5, 2) for _ in range(200))]
    for seconds in durations:
        action, status = chance.choice(["message_post", "ping_node", "invalid"]), chance.choice([201, 400])
        metrics.done(action, status, seconds)
        counter.labels(action, str(status)).inc()
        histogram.labels(action).observe(seconds)
        assert told(ours) == told(theirs)
