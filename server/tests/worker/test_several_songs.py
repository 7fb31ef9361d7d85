"""A worker that separates two songs at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest

from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.kit.settings import PREFIX
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.worker import separating
from customers import Customer
from databases import only_sqlite
from killing import run
from processes import PATIENCE, Service, ended, split, state, until, upload

MINUTES = 20
RATE = 8000


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song that takes so long that it is still in progress when others have ended."""
    path = tmp_path_factory.mktemp("endless") / "endless.flac"
    noise = np.random.default_rng(1).normal(0, 1e-4, (1, RATE * 60)).astype(np.float32)
    with StemWriter(path, OutputFormat("flac"), RATE, 1) as writer:
        for _ in range(MINUTES):
            writer.write(noise)
    return path


@pytest.fixture
def worker(service: Service) -> subprocess.Popen[bytes]:
    """A worker of two songs."""
    service.environment[f"{PREFIX}WORKER_SONGS"] = "2"
    return service.start("worker")


def in_progress(client: httpx2.Client, *split_ids: str) -> None:
    """Wait until all these splits are being separated."""
    until(lambda: all(map(is_separated, [state(client, each) for each in split_ids])))


def is_separated(split_state: dict[str, Any]) -> bool:
    return split_state["status"] == "processing" and split_state["progress"] > 0


def rows(someone: Customer, *split_ids: str) -> list[Split]:
    with someone.database.read() as session:
        return [session.get_one(Split, each) for each in split_ids]


def outcomes(service: Service) -> list[str]:
    lines = map(json.loads, service.log().splitlines())
    return [line["outcome"] for line in lines if line["event"] == "attempt"]


@pytest.mark.usefixtures("worker")
def test_a_cancelled_song_does_not_stop_the_other(
    client: httpx2.Client, service: Service, someone: Customer, endless: Path, long_song: Path
) -> None:
    first = split(client, upload(client, endless), stems=["vocals"])
    in_progress(client, first)
    assert ended(client, split(client, upload(client)))["status"] == "succeeded"
    assert state(client, first)["status"] == "processing"  # not waited for
    second = split(client, upload(client, long_song), stems=["vocals"])
    in_progress(client, first, second)
    client.post(f"/v1/audio/splits/{first}/cancel")
    assert ended(client, second)["status"] == "succeeded"
    until(lambda: sorted(outcomes(service)) == ["done", "done", "stopped"])
    until(lambda: not any((service.settings.data / "work").iterdir()))
    assert someone.balance == 3600 - 20 - 180


def test_an_engine_that_dies_interrupts_its_song_only(
    client: httpx2.Client,
    someone: Customer,
    worker: subprocess.Popen[bytes],
    endless: Path,
    long_song: Path,
) -> None:
    killed = split(client, upload(client, endless), stems=["vocals"])
    in_progress(client, killed)
    (engine,) = engines(worker)
    other = split(client, upload(client, long_song), stems=["vocals"])
    in_progress(client, other)
    engine.kill()
    until(lambda: rows(someone, killed)[0].attempt == 2)
    in_progress(client, killed)
    assert ended(client, other)["status"] == "succeeded"
    assert [row.attempt for row in rows(someone, killed, other)] == [2, 1]
    assert someone.balance == 3600 - 60 * MINUTES - 180


def engines(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes of the engine."""
    children = psutil.Process(worker.pid).children()
    return [child for child in children if separating.__name__ in " ".join(child.cmdline())]


def test_a_terminated_worker_requeues_all_its_songs(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    worker: subprocess.Popen[bytes],
    endless: Path,
) -> None:
    splits = [split(client, upload(client, endless), stems=["vocals"]) for _ in range(2)]
    in_progress(client, *splits)
    processes = engines(worker)
    assert len(processes) == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert not any(process.is_running() for process in processes)
    assert [state(client, each)["status"] for each in splits] == ["queued", "queued"]
    assert [row.failures for row in rows(someone, *splits)] == [0, 0]
    service.start("worker")
    in_progress(client, *splits)
    assert [row.attempt for row in rows(someone, *splits)] == [2, 2]
    assert someone.balance == 3600 - 2 * 60 * MINUTES


@only_sqlite
def test_nothing_is_lost_when_workers_of_two_songs_are_killed(
    service: Service, someone: Customer
) -> None:
    service.environment[f"{PREFIX}WORKER_SONGS"] = "2"
    report = run(service, someone, splits=12, kills=4, workers=2)
    assert report.faults == []
    assert sum(report.statuses.values()) == 12
