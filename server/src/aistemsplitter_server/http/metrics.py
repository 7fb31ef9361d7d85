"""Metrics of one process: requests, latencies, and the process itself.

Each API process has its own, and is scraped for itself. The metrics that are read from the
database are the same from all of them (``api/database_metrics.py``).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Requests:
    """Counts the requests that this process has answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._count = Counter(
            "aistemsplitter_requests", "Requests answered.", labels, registry=registry
        )
        self._seconds = Histogram(
            "aistemsplitter_request_seconds",
            "Time until the response begins.",
            labels[:2],
            buckets=BUCKETS,
            registry=registry,
        )

    def note(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """Count a request. Methods and paths that clients make up share a label, to bound memory.

        Args:
            route: The route's path with its parameters; None if there is no such route.
            status: None if the client disconnected before the response began.
            seconds: Time until the response began.
        """
        method = method if method in METHODS else "other"
        route = route or "unknown"
        self._count.labels(method, route, status or "gone").inc()
        self._seconds.labels(method, route).observe(seconds)


def registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process itself."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made
