"""What a gateway says of itself at `/metrics`."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway
from tests.support.raw import http

Labels = frozenset[tuple[str, str]]


def samples(gateway: Gateway) -> dict[tuple[str, Labels], float]:
    """Every sample by name and labels."""
    status, headers, body = http(gateway.http_url, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(gateway: Gateway, name: str, **labels: str) -> float:
    """One sample, without what all names begin with; 0 if it is not there yet."""
    return samples(gateway).get((f"zaqar_gateway_{name}", frozenset(labels.items())), 0.0)
