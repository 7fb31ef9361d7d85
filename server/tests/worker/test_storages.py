"""The service from upload to deletion, with its files on disk and in a bucket."""

from __future__ import annotations

import io
import wave
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import update

from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import listening
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer
from databases import Databases, only_sqlite
from peers import Peer, answers
from processes import SONG, Service, ended, split, until, upload
from sweeps import sweep

pytestmark = only_sqlite  # the database is the same for both


@pytest.fixture
def settings(stored_on: str, tmp_path: Path, databases: Databases) -> Settings:  # noqa: ARG001  # sets the place
    """Settings of a service whose files are on disk, or in a bucket."""
    data = tmp_path / "data"
    return Settings(data=data, database_url=databases.url(data))


@pytest.fixture
def storage(settings: Settings, client: httpx2.Client) -> Storage:
    """The storage of the running service."""
    found = configured(settings, secrets.of(settings))
    return found.at(str(client.base_url).rstrip("/"))


def test_from_upload_to_deletion(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    stored_on: str,
    context: WorkerContext,
) -> None:
    uploaded = upload(client)
    made = split(client, uploaded)
    with Peer([answers(200, SONG.read_bytes())]) as peer:
        body = {"input": {"type": "direct_url", "url": peer.url}}
        fetched = client.post("/v1/audio/splits", json=body).json()["data"]["id"]
        service.start("worker")
        final, of_fetched = ended(client, made), ended(client, fetched)
    assert (final["status"], of_fetched["status"]) == ("succeeded", "succeeded"), service.log()
    with storage.open(keys.upload(uploaded)) as file:
        assert file.read() == SONG.read_bytes()
    check_download(final["stems"]["vocals"], redirected=stored_on == "s3")
    check_listening(someone, storage, made)
    assert (service.settings.data / "storage").exists() == (stored_on == "disk")
    until(lambda: not [*(service.settings.data / "work").iterdir()])

    assert client.delete(f"/v1/audio/splits/{made}").status_code in (200, 204)
    assert [*storage.names("splits")] == [fetched]
    assert httpx2.get(final["stems"]["vocals"], trust_env=False, timeout=60).status_code == 404
    with someone.database.write() as session:
        session.execute(update(Split).values(expires_at=times.now()))
        session.execute(update(Upload).values(expires_at=times.now()))
    sweep(context)
    assert [*storage.names("splits"), *storage.names("fetched"), *storage.names("uploads")] == []


def check_download(url: str, *, redirected: bool) -> None:
    """Check the bytes, their headers, and a range."""
    with httpx2.Client(trust_env=False, timeout=60) as browser:
        assert (browser.get(url).status_code == 302) == redirected
        answer = browser.get(url, follow_redirects=True)
        with wave.open(io.BytesIO(answer.content)) as stem:
            assert stem.getnframes() == 20 * 44100
        assert answer.headers["content-type"] == "audio/wav"
        assert "mixture - vocals.wav" in answer.headers["content-disposition"]
        part = browser.get(url, headers={"Range": "bytes=0-3"}, follow_redirects=True)
        assert (part.status_code, part.content) == (206, b"RIFF")
        head = browser.head(url)
        assert head.headers["content-length"] == str(len(answer.content))
        assert "repr-digest" in head.headers


def check_listening(someone: Customer, storage: Storage, split_id: str) -> None:
    """Request the listening copies; check that the service itself sends them to its pages."""
    with someone.database.write() as session:
        row = session.get_one(Split, split_id)
        assert row.stored_attempt is not None
        number = row.stored_attempt
        listening.request(session, row)
    until(lambda: exists(storage, keys.player(split_id, number)))
    key = keys.pieces(split_id, number, "vocals")
    url = storage.url(key, expires_in=timedelta(hours=1), filename="vocals.pieces")
    part = httpx2.get(url, headers={"Range": "bytes=0-9"}, trust_env=False, timeout=60)
    assert (part.status_code, len(part.content)) == (206, 10)


def exists(storage: Storage, key: str) -> bool:
    """Return whether there is such an object."""
    try:
        storage.info(key)
    except Missing:
        return False
    return True
