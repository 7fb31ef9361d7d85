"""The service as its users run it: real processes on a test's own data folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from ports import free_port
from scraping import METRICS_TOKEN
from serving import serving

SONGS = Path(__file__).parents[2] / "songs"
SONG = SONGS / "sample" / "mixture.flac"  # 20 s
PATIENCE = 400.0  # seconds; only reached if a test fails


@dataclass
class Service:
    """The processes of a service, which are killed at the end of the block."""

    settings: Settings
    environment: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command of the service, with its output in a file in the data folder."""
        data = self.settings.data
        data.mkdir(exist_ok=True)
        with (data / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "aistemsplitter_server", "--data", str(data), *command],
                env={**os.environ, **self._environment()},
                stdout=log,
                stderr=log,
            )
        self.running.append(process)
        return process

    @contextmanager
    def api(self) -> Iterator[httpx2.Client]:
        """Run the API on a free port, and yield a client."""
        port = free_port()
        process = self.start("api", "--port", str(port))
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE
        ) as client:
            until(lambda: _answers(client))
            yield client
        process.terminate()
        process.wait()

    @contextmanager
    def api_in_this_process(self, database: Database) -> Iterator[httpx2.Client]:
        """Run the API in this process, which starts a second sooner, and yield a client."""
        port = free_port()
        values = {name.lower(): value for name, value in self._settings().items()}
        settings = Settings(data=self.settings.data, port=port, **values)
        app = create_app(settings, database, secrets.of(settings))
        with serving(app, port) as client:
            client.timeout = PATIENCE
            yield client

    def end(self) -> None:
        """Kill the processes that are still running."""
        for process in self.running:
            process.kill()
            process.wait()

    def log(self, name: str = "worker") -> str:
        """Return the output of the processes of one kind."""
        return (self.settings.data / f"{name}.log").read_text()

    def _environment(self) -> dict[str, str]:
        settings = {PREFIX + name: value for name, value in self._settings().items()}
        return {**settings, **self.environment}

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.settings.database,
            "ALLOW_PRIVATE_NETWORKS": "127.0.0.1/32",
            "DEMO": "true",
            "OFFLINE": "true",
            "RATE_LIMIT_PER_MINUTE": "0",
            "METRICS_TOKEN": METRICS_TOKEN,
        }


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """Yield a service without any processes yet."""
    service = Service(settings)
    try:
        yield service
    finally:
        service.end()


def until(done: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for a true result and return it; check less often the longer it takes."""
    began = time.monotonic()
    while not (found := done()):
        waited = time.monotonic() - began
        assert waited < patience, "the condition did not become true in time"
        time.sleep(min(max(0.02, waited / 20), 0.25))
    return found


def upload(client: httpx2.Client, song: Path = SONG) -> str:
    """Upload a song and return its id."""
    body = song.read_bytes()
    reserved = client.post(
        "/v1/audio/uploads",
        json={"filename": song.name, "contentType": "audio/flac", "contentLength": len(body)},
    ).json()["data"]
    sent = client.post(reserved["uploadUrl"], content=body, headers=reserved["uploadHeaders"])
    assert sent.status_code == 200, sent.text
    identifier: str = reserved["uploadId"]
    return identifier


def split(client: httpx2.Client, upload_id: str, **fields: Any) -> str:
    """Create a split of an upload with the built-in model; return its id."""
    source = {"type": "uploaded_file", "uploadId": upload_id}
    body = {"input": source, "stemModel": "htdemucs_tiny", **fields}
    answer = client.post("/v1/audio/splits", json=body)
    assert answer.status_code == 200, answer.text
    identifier: str = answer.json()["data"]["id"]
    return identifier


def state(client: httpx2.Client, split_id: str) -> dict[str, Any]:
    """Return the current state of a split."""
    split_state: dict[str, Any] = client.get(f"/v1/audio/splits/{split_id}").json()["data"]
    return split_state


def ended(client: httpx2.Client, split_id: str) -> dict[str, Any]:
    """Wait for a split to end and return it."""

    def finished() -> dict[str, Any] | None:
        split_state = state(client, split_id)
        return split_state if split_state["status"] in ("succeeded", "failed") else None

    found: dict[str, Any] = until(finished)
    return found


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.TransportError:
        return False
