"""What `/metrics` tells (Prometheus). Labels are bounded: known actions, statuses, our own error codes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from gateway.request_metrics import RequestMetrics


class Metrics:
    """The node's counters. One set per node, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge(
            "zaqar_gateway_connections", "WebSocket connections that are open.", registry=self.registry
        )
        self._requests = RequestMetrics()
        self.registry.register(self._requests)
        self.request_done = self._requests.done
        """A request was answered: its action, one that exists or `invalid`, its status, and seconds."""
        self._pushes = Counter("zaqar_gateway_pushes", "Notifications sent.", registry=self.registry)
        self._leases = Counter("zaqar_gateway_leases", "Leased messages pushed.", registry=self.registry)
        self._store_errors = Counter(
            "zaqar_gateway_store_errors",
            "Requests that a store did not do.",
            ["code"],
            registry=self.registry,
        )

    def pushed(self, count: int) -> None:
        """Notifications were sent."""
        self._pushes.inc(count)

    def leases_pushed(self, count: int) -> None:
        """Leased messages were pushed."""
        self._leases.inc(count)

    def store_failed(self, code: str) -> None:
        """A request failed in the store, the catalog, or by our fault."""
        self._store_errors.labels(code).inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
