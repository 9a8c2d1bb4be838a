"""Counts and times for Prometheus; one registry for each app."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .shelf import Shelf
from .workshop import Workshop

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What one server counts."""

    def __init__(self, shelf: Shelf, workshop: Workshop) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dinosearch_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "dinosearch_request_seconds",
            "Time to answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Levels(shelf, workshop))

    def install(self, app: Flask) -> None:
        app.before_request(_start)
        app.after_request(self._count)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _count(self, response: Response) -> Response:
        # The rule, not the path: ids and names must not become labels.
        route = request.url_rule.rule if request.url_rule else "none"
        self._requests.labels(request.method, route, response.status_code).inc()
        if "started" in g:
            self._seconds.labels(route).observe(time.perf_counter() - g.started)
        return response


class _Levels(Collector):
    """What is read off when somebody asks."""

    def __init__(self, shelf: Shelf, workshop: Workshop) -> None:
        self._shelf = shelf
        self._workshop = workshop

    def collect(self) -> Iterator[Metric]:
        items = GaugeMetricFamily("dinosearch_items", "Pictures.", labels=["index"])
        for served in self._shelf:
            items.add_metric([served.name], len(served.index))
        yield items
        inside = GaugeMetricFamily(
            "dinosearch_heavy_inside", "Heavy work waiting or going on.", labels=["lane"]
        )
        done = CounterMetricFamily("dinosearch_heavy_done", "Heavy work done.", labels=["lane"])
        for lane, count in self._workshop.inside.items():
            inside.add_metric([lane], count)
            done.add_metric([lane], self._workshop.done[lane])
        yield inside
        yield done
        yield CounterMetricFamily(
            "dinosearch_heavy_sent_away", "Refused because the queue was full.",
            value=self._workshop.sent_away,
        )  # fmt: skip


def _start() -> None:
    g.started = time.perf_counter()
