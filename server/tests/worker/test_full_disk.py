"""The data folder is on a full disk."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from databases import only_postgres
from peers import Peer, answers
from processes import Service, ended, running, split, state, until, upload
from scraping import scraped

pytestmark = only_postgres  # so that only audio files meet the full disk


@pytest.fixture
def small(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of 6 MB."""
    return mount_disk(6)


@pytest.fixture
def service(
    settings: Settings,
    database: Database,  # noqa: ARG001  # migrates it
    server_secrets: Secrets,  # noqa: ARG001  # writes the secret
    small: Path,
) -> Iterator[Service]:
    """A service whose data is on the small file system."""
    (small / "data").mkdir(mode=0o700)
    (small / "data" / "secret").write_bytes((settings.data / "secret").read_bytes())
    (small / "data" / "secret").chmod(0o600)
    with running(settings.model_copy(update={"data": small / "data"})) as service:
        yield service


def test_an_upload(client: httpx2.Client, service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.flac"
    large.write_bytes(bytes(7 << 20))
    reserved = client.post(
        "/v1/audio/uploads",
        json={"filename": "a", "contentType": "audio/flac", "contentLength": 7 << 20},
    ).json()["data"]
    answer = client.post(
        reserved["uploadUrl"], content=large.read_bytes(), headers=reserved["uploadHeaders"]
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert "full" in answer.json()["error"]["message"]
    assert not (service.settings.data / "storage" / "uploads").exists()


def test_a_url(client: httpx2.Client, service: Service, someone: Customer) -> None:
    service.start("worker")
    with Peer([answers(200, bytes(7 << 20))]) as peer:
        body = {"input": {"type": "direct_url", "url": peer.url}}
        split_id = client.post("/v1/audio/splits", json=body).json()["data"]["id"]
        until(lambda: "lacks disk" in readiness(client))
    waits(client, someone, split_id)
    until(lambda: not list((service.settings.data / "work").glob("split_*/fetched-*")))


def test_stems(client: httpx2.Client, service: Service, someone: Customer) -> None:
    upload_id = upload(client)
    service.start("worker")
    split_id = split(client, upload_id)
    until(lambda: "lacks disk" in readiness(client))
    waits(client, someone, split_id)
    until(lambda: not list((service.settings.data / "storage" / "splits").glob("*/*")))
    metrics = scraped(client)
    assert 'aistemsplitter_workers_paused{lack="disk"} 1.0' in metrics


def test_a_song_is_split_once_there_is_room(
    client: httpx2.Client, service: Service, someone: Customer, small: Path
) -> None:
    upload_id = upload(client)
    service.start("worker")
    split_id = split(client, upload_id)
    until(lambda: "lacks disk" in readiness(client))
    subprocess.run(["mount", "-o", "remount,size=600m", str(small)], check=True)
    final = ended(client, split_id)
    assert final["status"] == "succeeded", final
    assert someone.balance == 3580
    until(lambda: client.get("/readyz").status_code == 200)


def readiness(client: httpx2.Client) -> str:
    """Return why the service is not ready."""
    answer = client.get("/readyz")
    return "" if answer.status_code == 200 else str(answer.json()["error"]["message"])


def waits(client: httpx2.Client, someone: Customer, split_id: str) -> None:
    """Check that a split goes back to the queue, without a failed attempt."""

    def is_queued() -> bool:
        with someone.database.read() as session:
            split = session.get_one(Split, split_id)
            return (split.status, split.failures) == ("queued", 0)

    until(is_queued)  # between two attempts
    assert state(client, split_id)["status"] != "failed"
