"""``/metrics``: what Prometheus asks of an API process.

Requests and latencies are this process's own; each of several is asked for itself. What lies in
the database is the same from all of them (``stock.py``).
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

router = APIRouter(include_in_schema=False)

BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Requests:
    """Counts what this process has answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._count = Counter(
            "aistemsplitter_requests", "Requests answered.", labels, registry=registry
        )
        self._seconds = Histogram(
            "aistemsplitter_request_seconds",
            "Time until the answer begins.",
            labels[:2],
            buckets=BUCKETS,
            registry=registry,
        )

    def note(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """Count one; what callers make up, they cannot fill our memory with."""
        method = method if method in METHODS else "other"
        route = route or "unknown"
        self._count.labels(method, route, status or "gone").inc()
        self._seconds.labels(method, route).observe(seconds)


def registry() -> CollectorRegistry:
    """A registry with what is known of the process itself."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Everything, as text."""
    told = generate_latest(request.app.state.registry)
    return Response(told, headers={"Content-Type": CONTENT_TYPE_LATEST})
