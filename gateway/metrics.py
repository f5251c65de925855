"""What `/metrics` tells (Prometheus). Labels are bounded: known actions, statuses, our own error codes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from gateway.delivery.metrics import DeliveryMetrics
from gateway.request_metrics import RequestMetrics


class Metrics:
    """The node's counters. One set per node, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge(
            "zaqar_gateway_connections", "WebSocket connections that are open.", registry=self.registry
        )
        self.http_connections = Gauge(
            "zaqar_gateway_http_connections",
            "Connections of plain HTTP that are open.",
            registry=self.registry,
        )
        self.streams = Gauge(
            "zaqar_gateway_event_streams", "Event streams that are open.", registry=self.registry
        )
        self.waiting = Gauge(
            "zaqar_gateway_waiting_requests",
            "Requests over REST that wait for messages.",
            registry=self.registry,
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
        self._refused = Counter(
            "zaqar_gateway_refused",
            "Requests and sockets that were refused because a limit was reached.",
            ["limit"],
            registry=self.registry,
        )
        self._authentications = Counter(
            "zaqar_gateway_authentications",
            "Tokens that were looked at: accepted, refused, or nobody could say.",
            ["outcome"],
            registry=self.registry,
        )
        self._confirmations = Counter(
            "zaqar_gateway_confirmations",
            "What came of asking subscribers to confirm: delivered, refused or given_up.",
            ["result"],
            registry=self.registry,
        )
        self._paused = Counter(
            "zaqar_gateway_reading_paused",
            "Sockets that were not read on because too much of theirs waited.",
            registry=self.registry,
        )

        self.deliveries = DeliveryMetrics(self.registry)

    def authenticated(self, outcome: str) -> None:
        """A token was `accepted` or `refused`, or who decides was `unavailable`."""
        self._authentications.labels(outcome).inc()

    def confirmation_sent(self, result: str) -> None:
        """What a subscriber was asked is `delivered`, `refused` or `given_up`."""
        self._confirmations.labels(result).inc()

    def pushed(self, count: int) -> None:
        """Notifications were sent."""
        self._pushes.inc(count)

    def leases_pushed(self, count: int) -> None:
        """Leased messages were pushed."""
        self._leases.inc(count)

    def store_failed(self, code: str) -> None:
        """A request failed in the store, the catalog, or by our fault."""
        self._store_errors.labels(code).inc()

    def refused(self, limit: str) -> None:
        """A request or a socket was refused by a limit: the name of a setting, or of a constant."""
        self._refused.labels(limit).inc()

    def reading_paused(self) -> None:
        """A socket is not read on: as many of its requests wait as may."""
        self._paused.inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
