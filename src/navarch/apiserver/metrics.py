# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of requests, and `/metrics`. Counting is a dictionary and a list of numbers: prometheus-
client only prints it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Protocol

#: Upper bounds, in seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Collector(Protocol):
    def collect(self) -> Iterator[Any]:
        """The collector interface of prometheus-client: families of metrics."""


class Requests:
    """Requests by (verb, group, resource, subresource, code); durations by the same without the code."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str, int], int] = {}
        self._durations: dict[tuple[str, str, str, str], list[float]] = {}
        self.watches = 0

    def count(
        self, verb: str, group: str, resource: str, subresource: str, code: int, seconds: float
    ) -> None:
        """A request that was answered; watches are counted but not timed."""
        key = (verb, group, resource, subresource, code)
        self._counts[key] = self._counts.get(key, 0) + 1
        if verb == "watch":
            return
        cells = self._durations.get(key[:4])
        if cells is None:
            cells = self._durations[key[:4]] = [0.0] * (len(BUCKETS) + 2)
        cells[bisect_left(BUCKETS, seconds)] += 1
        cells[-1] += seconds

    def collect(self) -> Iterator[Any]:
        """The collector interface of prometheus-client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        names = ["verb", "group", "resource", "subresource"]
        total = CounterMetricFamily("apiserver_request", "Requests answered.", labels=[*names, "code"])
        for (verb, group, resource, subresource, code), count in self._counts.items():
            total.add_metric([verb, group, resource, subresource, str(code)], count)
        yield total
        timed = HistogramMetricFamily(
            "apiserver_request_duration_seconds", "Time from a request's head to its answer.", labels=names
        )
        for labels, cells in self._durations.items():
            buckets: list[tuple[str, float]] = []
            running = 0.0
            for bound, found in zip((*map(str, BUCKETS), "+Inf"), cells, strict=False):
                running += found
                buckets.append((bound, running))
            timed.add_metric(list(labels), buckets, cells[-1])
        yield timed
        yield GaugeMetricFamily(
            "apiserver_longrunning_requests", "Watches and streams that are open.", self.watches
        )


def exposition(*collectors: Collector) -> tuple[bytes, str]:
    """The text of /metrics and its content type."""
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
        generate_latest,
    )

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST
