"""The metrics of several workers, added up."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Metrics
from gateway.workers.node_metrics import NodeMetrics


def value(node: NodeMetrics, name: str, **labels: str) -> float:
    """A sample of what the node says."""
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(node.text().decode())
        for sample in family.samples
    }
    return found[(f"zaqar_gateway_{name}", frozenset(labels.items()))]


def worker(sockets: int, requests: int, *, action: str = "message_post", status: int = 201) -> Metrics:
    metrics = Metrics()
    metrics.connections.inc(sockets)
    for _ in range(requests):
        metrics.request_done(action, status, 0.002)
    return metrics


def test_it_is_in_the_form_of_one_worker() -> None:
    alone = worker(2, 3).text()
    node = NodeMetrics()
    node.told(1, alone)
    assert set(node.text().splitlines()) == set(alone.splitlines())


def test_all_workers_are_counted() -> None:
    node = NodeMetrics()
    node.told(1, worker(2, 3).text())
    node.told(2, worker(5, 4).text())
    node.told(3, worker(0, 1, action="queue_get", status=200).text())
    assert value(node, "connections") == 7
    assert value(node, "requests_total", action="message_post", status="201") == 7
    assert value(node, "requests_total", action="queue_get", status="200") == 1
    assert value(node, "request_seconds_count", action="message_post") == 7
    assert value(node, "request_seconds_bucket", action="message_post", le="0.0025") == 7
    assert value(node, "request_seconds_bucket", action="message_post", le="0.001") == 0


def test_the_newest_report_of_a_worker_holds() -> None:
    node = NodeMetrics()
    node.told(1, worker(2, 3).text())
    node.told(1, worker(1, 8).text())
    assert value(node, "connections") == 1
    assert value(node, "requests_total", action="message_post", status="201") == 8


def test_counters_of_a_worker_that_ended_stay_and_its_connections_go() -> None:
    node = NodeMetrics()
    first = worker(2, 3)
    node.told(1, first.text())
    node.told(2, worker(1, 1).text())
    since = value(node, "requests_created", action="message_post", status="201")
    for _ in range(2):  # it dies, and what comes after it too
        node.ended(1)
        node.told(1, worker(1, 1).text())
    assert value(node, "connections") == 2
    assert value(node, "requests_total", action="message_post", status="201") == 3 + 1 + 1 + 1
    # Since when it is counted has not changed.
    assert value(node, "requests_created", action="message_post", status="201") == since


def test_a_worker_that_never_told_anything_may_end() -> None:
    node = NodeMetrics()
    node.ended(1)
    assert node.text() == b""
