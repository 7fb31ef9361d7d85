"""The data folder is on a full disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import Customer
from databases import only_postgres
from peers import Peer, answers
from processes import Service, ended, running, split, until, upload

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
        final = ended(client, client.post("/v1/audio/splits", json=body).json()["data"]["id"])
    assert (final["status"], final["error"]["code"]) == ("failed", "INTERNAL")
    assert "/" not in final["error"]["message"]
    assert (final["creditsUsed"], someone.balance) == (0, 3600)
    until(lambda: not list((service.settings.data / "work").iterdir()))


def test_stems(client: httpx2.Client, service: Service, someone: Customer) -> None:
    upload_id = upload(client)
    service.start("worker")
    final = ended(client, split(client, upload_id))
    assert (final["status"], final["error"]["code"]) == ("failed", "INTERNAL")
    assert "/" not in final["error"]["message"]
    assert (final["creditsUsed"], someone.balance) == (0, 3600)
    assert not list((service.settings.data / "storage" / "splits").glob("*/*"))
