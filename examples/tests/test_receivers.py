"""The webhook receivers, each on its own kind of server, called by the real service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from aistemsplitter import AiStemSplitter
from aistemsplitter.testing import split_succeeded
from ports import free_port
from real_service import RealService

EXAMPLES = Path(__file__).parents[1]
STEMS = {"drums.wav", "bass.wav", "other.wav", "vocals.wav"}


@contextmanager
def process(
    command: list[str], environment: dict[str, str], folder: Path, name: str
) -> Iterator[None]:
    """Run a process for the duration of the block."""
    with (folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)


@contextmanager
def fastapi(environment: dict[str, str], folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_receiver:app"]
    with process([*command, "--port", str(port)], environment, folder, "web"):
        yield


@contextmanager
def flask(environment: dict[str, str], folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "flask", "--app", str(EXAMPLES / "flask_receiver.py"), "run"]
    with process([*command, "--port", str(port)], environment, folder, "web"):
        yield


@contextmanager
def django(environment: dict[str, str], folder: Path, port: int) -> Iterator[None]:
    """The site and a Celery worker, which communicate by files, so no broker is needed."""
    broker = folder / "broker"
    broker.mkdir()
    project = str(EXAMPLES / "django_celery")
    environment = {
        **environment,
        "CELERY_BROKER_URL": "filesystem://",
        "CELERY_BROKER_FOLDER": str(broker),
        "PYTHONPATH": os.pathsep.join((project, environment.get("PYTHONPATH", ""))),
    }
    serve = [sys.executable, "-m", "django", "runserver", str(port), "--noreload"]
    work = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo"]
    with (
        process([*serve, "--settings", "settings"], environment, folder, "web"),
        process(work, environment, folder, "celery"),
    ):
        yield


RECEIVERS = [fastapi, flask, django]


@pytest.fixture(params=RECEIVERS, ids=lambda receiver: receiver.__name__)
def receiver(request: pytest.FixtureRequest, service: RealService, tmp_path: Path) -> Iterator[str]:
    """The URL of a running receiver, which writes stems to ``tmp_path``."""
    port = free_port()
    with request.param(service.environment, tmp_path, port):
        _until(lambda: _answers(port), tmp_path)
        yield f"http://127.0.0.1:{port}"


def test_deliveries_of_the_service(
    receiver: str, service: RealService, song: Path, tmp_path: Path
) -> None:
    """A forged delivery is rejected; the real one makes the receiver download the stems."""
    forged = split_succeeded(secret="whsec_another")
    answer = httpx2.post(
        f"{receiver}/webhooks", content=forged.body, headers=forged.headers, timeout=60
    )
    assert answer.status_code == 400
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        job = client.create_split(song, webhook_url=f"{receiver}/webhooks")
    folder = tmp_path / "stems" / job.id
    _until(lambda: folder.is_dir() and {path.name for path in folder.iterdir()} >= STEMS, tmp_path)


@pytest.mark.parametrize("receiver", [django], indirect=True)
def test_django_submits_a_posted_file(
    receiver: str, service: RealService, song: Path, tmp_path: Path
) -> None:
    form = {"song": (song.name, song.read_bytes())}
    answer = httpx2.post(f"{receiver}/submit", files=form, data={"user": "7"}, timeout=60)
    assert answer.status_code == 202, answer.text
    split_id = answer.json()["id"]
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        assert client.get_split(split_id).metadata == {"user": "7"}
    folder = tmp_path / "stems" / split_id
    _until(lambda: folder.is_dir() and {path.name for path in folder.iterdir()} >= STEMS, tmp_path)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(done: object, folder: Path) -> None:
    assert callable(done)
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if done():
            return
        time.sleep(0.1)
    logs = "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in folder.glob("*.log"))
    pytest.fail(f"no stems within 60 s\n{logs}")
