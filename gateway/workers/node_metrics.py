"""The metrics of a node: those of its workers, added up.

Whoever reads `/metrics` is connected to any of the workers, each time perhaps to another, so each tells the
sum. What a worker had counted by the last time it was asked stays in it when the worker ends: a counter that
went down would be taken for one that began anew, and all of it counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


class NodeMetrics(Collector):
    """What all workers of a node have counted."""

    def __init__(self) -> None:
        self._ended: list[Metric] = []
        self._told: dict[int, list[Metric]] = {}

    def told(self, worker: int, text: bytes) -> None:
        """What a worker says of itself now, in Prometheus' text format."""
        self._told[worker] = list(text_string_to_metric_families(text.decode()))

    def ended(self, worker: int) -> None:
        """The worker has ended. What it had at the moment is gone, what it had counted is not."""
        counted = [family for family in self._told.pop(worker, []) if not _is_of_the_moment(family)]
        self._ended = _sum([*self._ended, *counted])

    def collect(self) -> list[Metric]:
        """The sum."""
        return _sum([*self._ended, *(family for told in self._told.values() for family in told)])

    def text(self) -> bytes:
        """The sum in Prometheus' text format."""
        return generate_latest(self)


def _is_of_the_moment(family: Metric) -> bool:
    return family.type == "gauge" and not _is_a_time(family)


def _is_a_time(family: Metric) -> bool:
    """Whether it says since when something is counted: of several, the earliest holds."""
    return family.name.endswith("_created")


def _sum(families: Iterable[Metric]) -> list[Metric]:
    sums: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]] = {}
    for family in families:
        known = values.setdefault(family.name, {})
        sums.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            if key not in known:
                known[key] = sample.value
            else:
                known[key] = (
                    min(known[key], sample.value) if _is_a_time(family) else known[key] + sample.value
                )
    for name, total in sums.items():
        for (sample_name, labels), value in values[name].items():
            total.add_sample(sample_name, dict(labels), value)
    return list(sums.values())
