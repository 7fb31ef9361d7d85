"""Measuring is limited and fair, and waiting for it occupies no thread or connection."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server import measuring
from aistemsplitter_server.kit.database import THREADS, Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import Measured
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.uploads import measurements
from aistemsplitter_server.uploads.measurements import Measurements
from aistemsplitter_server.uploads.tables import Upload
from customers import Customer, customer
from processes import until


class Measuring:
    """A replacement of decoding in which each measurement waits to be released."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()  # by filename
        self.order: list[str] = []
        self._lock = threading.Lock()
        self._go = threading.Semaphore(0)

    def measure(self, _path: Path, filename: str, _settings: Settings) -> Measured:
        """Measure one file, which is named after its account."""
        with self._lock:
            self.running[filename] += 1
            self.order.append(filename)
        self._go.acquire()
        with self._lock:
            self.running[filename] -= 1
        return Measured(20.0, 44100, 2)

    def finish(self, number: int = 1) -> None:
        """Release that many measurements."""
        self._go.release(number)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Measuring]:
    decoding = Measuring()
    monkeypatch.setattr(measuring, "measure", decoding.measure)
    yield decoding
    decoding.finish(1000)


def unmeasured(someone: Customer, settings: Settings, secrets: Secrets, name: str) -> Upload:
    upload = someone.upload(filename=name, measured_at=None, duration_seconds=None)
    song = settings.data / upload.id
    song.write_bytes(b"a song")
    configured(settings, secrets).put_file(keys.upload(upload.id), song)
    return upload


def test_accounts_take_turns(
    settings: Settings, database: Database, server_secrets: Secrets, decoding: Measuring
) -> None:
    storage = configured(settings, server_secrets)
    measured = Measurements(settings, database, storage)
    names = ("many", "few", "one", "another")
    accounts = {name: customer(database, server_secrets) for name in names}
    results = [
        measured._begin(unmeasured(accounts[name], settings, server_secrets, name))
        for name in ["many"] * 6 + ["few"] * 2 + ["one", "another"]
    ]
    until(lambda: len(decoding.order) == measurements.CONCURRENT)
    assert decoding.running == {"many": 2, "few": 1, "one": 1}
    decoding.finish()  # whichever ends, the account without a running measurement is next
    until(lambda: len(decoding.order) == measurements.CONCURRENT + 1)
    assert decoding.running["another"] == 1
    assert max(decoding.running.values()) <= measurements.CONCURRENT_PER_ACCOUNT
    decoding.finish(len(results))
    assert all(result.result(60) for result in results)
    until(lambda: not any(thread.name == "measure" for thread in threading.enumerate()))
    assert not measured._results
    assert not measured._waiting
    assert not measured._running


def test_slow_files_of_two_accounts_leave_a_place_for_a_third(
    settings: Settings, database: Database, server_secrets: Secrets, decoding: Measuring
) -> None:
    measured = Measurements(settings, database, configured(settings, server_secrets))
    slow = {name: customer(database, server_secrets) for name in ("slow", "slower")}
    results = [
        measured._begin(unmeasured(slow[name], settings, server_secrets, name))
        for name in ["slow"] * 5 + ["slower"] * 5
    ]
    third = customer(database, server_secrets)
    results.append(measured._begin(unmeasured(third, settings, server_secrets, "third")))
    until(lambda: len(decoding.order) == measurements.CONCURRENT)
    assert decoding.running["third"] == 1
    decoding.finish(len(results))
    assert all(result.result(60) for result in results)


def test_a_failed_measurement_frees_its_place(
    settings: Settings,
    database: Database,
    server_secrets: Secrets,
    someone: Customer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object) -> Measured:
        raise OSError("cannot start a process")

    monkeypatch.setattr(measuring, "measure", fail)
    measured = Measurements(settings, database, configured(settings, server_secrets))
    upload = unmeasured(someone, settings, server_secrets, "a")
    assert [measured._begin(upload).result(60) for _ in range(6)] == [False] * 6


def test_reads_do_not_wait_for_measurements(
    client: httpx2.Client,
    settings: Settings,
    database: Database,
    server_secrets: Secrets,
    someone: Customer,
    decoding: Measuring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More requests wait for a measurement than the process has threads."""
    monkeypatch.setattr(measurements, "TIMEOUT", 600.0)
    upload = unmeasured(someone, settings, server_secrets, "song")
    body = json.dumps(someone.request(upload)).encode()
    head = "POST /v1/audio/splits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: {someone.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n"
    address = (client.base_url.host, client.base_url.port or 0)
    waiting = [socket.create_connection(address, 120) for _ in range(THREADS + 5)]
    for connection in waiting:
        connection.sendall(f"{head}\r\n".encode() + body)
    until(lambda: decoding.running["song"])
    other = customer(database, server_secrets)
    answer = client.get("/v1/audio/splits", headers=other.headers, timeout=120)
    assert answer.status_code == 200
    assert decoding.running["song"] == 1
    decoding.finish()
    for connection in waiting:
        with connection:  # 503 where a busy machine's database gives no connection within 10 s
            assert connection.recv(12)[9:] in (b"200", b"402", b"503")
