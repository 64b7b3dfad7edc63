"""Prometheus metrics of the service, summed over its workers.

Requests and answers are counted with a bounded number of labels: routes by template, unknown paths
as one. Values of the served version are read when metrics are scraped.
"""

import asyncio
import os
import time
from collections import Counter as Count
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.events.follow import EventViews
from serving.predictor import VersionHolder
from training.monitoring import checks

# Folder of the values of all workers; read by prometheus_client when it is imported.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
UNKNOWN_ROUTE = "unknown"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LAG_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5)
# How often the lag of the event loop is measured.
LAG_INTERVAL_SECONDS = 0.5


class Metrics:
    """Counters of requests and answers of this process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            "foresell_requests", "Responses", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "foresell_request_seconds",
            "Seconds from request to response",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = Counter("foresell_errors", "Error responses", ("code",), registry=registry)
        self._answers = Counter(
            "foresell_answers", "Results by what they rest on", ("task", "basis"), registry=registry
        )
        self._lag = Histogram(
            "foresell_event_loop_lag_seconds",
            "Delay of a timer of the event loop",
            buckets=LAG_SECONDS,
            registry=registry,
        )
        # Looking a child up by its labels takes longer than counting.
        self._children: dict[tuple[str, int], Any] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a response."""
        children = self._children.get((route, status))
        if children is None:
            children = (self._requests.labels(route, status), self._seconds.labels(route))
            self._children[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def error(self, code: str) -> None:
        """Count an error response."""
        self._errors.labels(code).inc()

    def answers(self, task: str, results: Iterable[Mapping[str, Any]]) -> None:
        """Count the results of an answer by their basis."""
        for basis, count in Count(str(result.get("basis")) for result in results).items():
            self._answers.labels(task, basis).inc(count)

    async def measure_lag(self) -> None:
        """Measure for ever how late the event loop runs a timer."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL_SECONDS
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))


@cache
def metrics() -> Metrics:
    """Return the metrics of this process."""
    return Metrics()


class VersionCollector(Collector):
    """Values of the version that answers and of its events, at the time of a scrape.

    Parameters
    ----------
    versions
        The served versions.
    events
        The event logs.
    """

    def __init__(self, versions: VersionHolder, events: EventViews) -> None:
        self.versions, self.events = versions, events

    def collect(self) -> Iterator[Metric]:
        """Yield name, age and instants of the served version, and the state of the watch."""
        yield GaugeMetricFamily(
            "foresell_ready", "Whether a version is served", value=float(self.versions.ready)
        )
        yield GaugeMetricFamily(
            "foresell_events_failing",
            "Whether the event log cannot be read",
            value=float(self.events.fault is not None),
        )
        yield GaugeMetricFamily(
            "foresell_version_refused",
            "Whether the newest version was refused",
            value=float(self.versions.fault is not None),
        )
        served = self.versions.served
        if served is None:
            return
        record = served.record
        yield InfoMetricFamily(
            "foresell_version",
            "The served version",
            value={"dataset": record.dataset, "version": record.version},
        )
        yield GaugeMetricFamily(
            "foresell_version_age_seconds",
            "Seconds since the served version was published",
            value=time.time() - record.created.timestamp(),
        )
        instants = GaugeMetricFamily(
            "foresell_model_as_of_timestamp_seconds", "Instant of the answers", labels=["task"]
        )
        for task, model in record.models.items():
            instants.add_metric([task], model.as_of.timestamp())
        yield instants
        view = self.events.view(record.dataset)
        yield GaugeMetricFamily(
            "foresell_events_position", "Position of the last known event", value=view.head.position
        )
        # Of the whole log, so that workers agree.
        lists = CounterMetricFamily(
            "foresell_list_events",
            "Events of recommended products",
            labels=["version", "list", "reason", "type"],
        )
        for row in view.feedback:
            lists.add_metric([row.version, row.list, row.reason, row.type], row.events)
        yield lists
        yield from self._monitoring(record.dataset)

    def _monitoring(self, dataset: str) -> Iterator[Metric]:
        """Yield what the nightly job measured of records, answers and realised quality."""
        kept = (checks.read(home, dataset) for home in self.versions.homes)
        monitoring = next((state for state in kept if state is not None), None)
        if monitoring is None:
            return
        labels = ["kind", "check"]
        values = GaugeMetricFamily(
            "foresell_monitoring_value", "What the nightly job measured", labels=labels
        )
        usual = GaugeMetricFamily(
            "foresell_monitoring_ok", "Whether what was measured is usual", labels=labels
        )
        for check in monitoring.checks:
            values.add_metric([check.kind, check.name], check.value)
            usual.add_metric([check.kind, check.name], float(check.ok))
        yield values
        yield usual


def scrape(versions: VersionHolder, events: EventViews) -> tuple[bytes, str]:
    """Return the metrics of all workers as text, and its content type."""
    registry = metrics().registry
    if FOLDER_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    of_version = CollectorRegistry()
    of_version.register(VersionCollector(versions, events))
    return generate_latest(registry) + generate_latest(of_version), CONTENT_TYPE_LATEST
