"""A worker's own /healthz and /metrics."""

from __future__ import annotations

import dataclasses

import httpx2
import pytest

from aistemsplitter_server.kit.settings import WrongSetting
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.worker import probes
from aistemsplitter_server.worker.abilities import Abilities
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.workers.tables import DEAD_AFTER
from databases import only_sqlite


@only_sqlite
def test_a_workers_health_and_metrics(context: WorkerContext) -> None:
    context = dataclasses.replace(context, abilities=Abilities(lambda: [TINY.name]))
    context.abilities.refresh()
    with (
        probes.serving(context, "127.0.0.1", 0) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        context.use.counted(),
    ):
        assert client.get("/healthz").status_code == 200
        metrics = client.get("/metrics").text
        assert "aistemsplitter_worker_splits 1.0" in metrics
        assert 'aistemsplitter_worker_model{model="htdemucs_tiny"} 1.0' in metrics
        assert "aistemsplitter_worker_stopping 0.0" in metrics
        assert client.get("/other").status_code == 404
        context.use.last_beat -= DEAD_AFTER.total_seconds() + 1
        assert client.get("/healthz").status_code == 503
        taken = probes.serving(context, "127.0.0.1", port)
        with pytest.raises(WrongSetting, match="WORKER_METRICS_PORT: cannot listen"), taken:
            pass


@only_sqlite
def test_nothing_is_served_by_default(context: WorkerContext) -> None:
    host, port = context.settings.worker_metrics_host, context.settings.worker_metrics_port
    with probes.serving(context, host, port) as served:
        assert (host, served) == ("127.0.0.1", None)
