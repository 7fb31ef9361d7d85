"""``/healthz`` and ``/metrics`` of a worker process, for probes of its container and Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.registry import Collector

from aistemsplitter_server.kit.settings import WrongSetting
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.workers.tables import DEAD_AFTER

TIMEOUT = 10.0  # seconds that a client may take for its request


@contextmanager
def serving(context: WorkerContext, host: str, port: int | None) -> Iterator[int | None]:
    """Serve both in a thread until the block ends; yield the port.

    Raises:
        WrongSetting: The port cannot be listened on.
    """
    if port is None:
        yield None
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Own(context))
    ProcessCollector(registry=registry)
    app = _app(context, registry)
    try:
        server = make_server(host, port, app, ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise WrongSetting(
            f"WORKER_METRICS_PORT: cannot listen on {host}:{port} ({error.strerror}); "
            "choose another port for each worker of a machine"
        ) from None
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _app(context: WorkerContext, registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, str], start: Callable[..., object]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start)
            return found
        if path != "/healthz":
            return _text(start, "404 Not Found", "There is nothing here.")
        if time.monotonic() - context.use.last_beat > DEAD_AFTER.total_seconds():
            return _text(start, "503 Service Unavailable", "No heartbeat reaches the database.")
        return _text(start, "200 OK", "ok")

    return app


def _text(start: Callable[..., object], status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # the base class's
        """Write nothing: probes come every few seconds."""


class _Own(Collector):
    """The state of this process. The API's metrics have the seconds of all workers."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        context = self._context
        yield GaugeMetricFamily(
            "aistemsplitter_worker_splits",
            "Splits that this worker processes now.",
            value=context.use.running,
        )
        models = GaugeMetricFamily(
            "aistemsplitter_worker_model", "1 for each model it can run.", labels=("model",)
        )
        for name in context.abilities.announced():
            models.add_metric((name,), 1)
        yield models
        yield GaugeMetricFamily(
            "aistemsplitter_worker_paused",
            "1 if it takes no songs, since its machine lacks something.",
            value=float(context.shortages.current() is not None),
        )
        yield GaugeMetricFamily(
            "aistemsplitter_worker_stopping",
            "1 once it begins nothing more.",
            value=float(context.stopping.is_set()),
        )
