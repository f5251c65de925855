"""What `/metrics` tells of deliveries (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.delivery.sender import Result


class DeliveryMetrics:
    """The node's counts of deliveries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "zaqar_gateway_deliveries",
            "Tries to deliver a message to a webhook or by mail, by what came of it.",
            ["result"],
            registry=registry,
        )
        for result in Result:
            self._tries.labels(result.value)
        self._seconds = Histogram(
            "zaqar_gateway_delivery_seconds",
            "How long the tries took.",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
        )
        self._failed = Counter(
            "zaqar_gateway_deliveries_failed", "Messages given up for a subscriber.", registry=registry
        )
        self._missed = Counter(
            "zaqar_gateway_deliveries_missed",
            "How often messages had left a queue before they were delivered to a subscriber.",
            registry=registry,
        )
        self._endpoints = Gauge(
            "zaqar_gateway_delivery_endpoints",
            "Servers that something is delivered to just now, or waits to be.",
            registry=registry,
        )
        self._open_circuits = Gauge(
            "zaqar_gateway_delivery_open_circuits",
            "Servers that failed so often that they are left alone for a while.",
            registry=registry,
        )

    def watch(self, endpoints: Callable[[], int], open_circuits: Callable[[], int]) -> None:
        """Ask these when the metrics are read."""
        self._endpoints.set_function(endpoints)
        self._open_circuits.set_function(open_circuits)

    def tried(self, result: Result, seconds: float) -> None:
        """A message was sent, or could not be."""
        self._tries.labels(result.value).inc()
        self._seconds.observe(seconds)

    def failed(self) -> None:
        """A message was given up."""
        self._failed.inc()

    def missed(self) -> None:
        """Messages had left the queue."""
        self._missed.inc()
