"""Metrics of this process's machine and version. Unlike those from the database, each API process
has its own.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from aistemsplitter_server.operations import health


class MachineMetrics(Collector):
    """Collects the free space of the data folder's disk, and the version that runs."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; without the disk's if the folder does not exist."""
        versions = {
            "version": metadata.version("aistemsplitter-server"),
            "python": platform.python_version(),
        }
        yield InfoMetricFamily("aistemsplitter_build", "The version that runs.", value=versions)
        try:
            disk = health.disk(self._data)
        except OSError:
            return
        yield GaugeMetricFamily(
            "aistemsplitter_disk_free_bytes", "Free space on the data folder's disk.", disk.free
        )
        yield GaugeMetricFamily(
            "aistemsplitter_disk_size_bytes", "Size of the data folder's disk.", disk.total
        )
