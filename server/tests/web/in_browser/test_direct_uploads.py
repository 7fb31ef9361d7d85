"""Uploads that the studio sends to the bucket, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, Request, expect

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import direct
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from databases import Databases, migrated
from measuring_worker import measuring
from ports import free_port
from processes import SONG
from seaweed import Seaweed
from serving import serving
from visitors import person

pytestmark = pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3")


@pytest.fixture
def settings(bucket_address: str, tmp_path: Path, sqlite_databases: Databases) -> Settings:
    """Settings of a service of its own, whose songs are in a bucket."""
    data = tmp_path / "data"
    return Settings(
        data=data,
        database_url=sqlite_databases.url(data),
        storage=bucket_address,
        public_url=f"http://localhost:{free_port()}",
    )


@pytest.fixture
def database(settings: Settings, sqlite_databases: Databases) -> Iterator[Database]:
    """Its database."""
    with migrated(sqlite_databases, settings.database) as database:
        yield database


@pytest.fixture
def app(settings: Settings, database: Database, server_secrets: Secrets) -> FastAPI:
    """Its application."""
    return create_app(settings, database, server_secrets)


@pytest.fixture
def client(app: FastAPI, settings: Settings) -> Iterator[httpx2.Client]:
    """A client of it."""
    with serving(app, urlsplit(settings.base_url).port or 0) as client:
        yield client


@pytest.fixture
def ada(database: Database, server_secrets: Secrets) -> Person:
    """A person with her own account."""
    return person(database, server_secrets, "ada@example.org")


@pytest.fixture(autouse=True)
def _worker(settings: Settings, database: Database, server_secrets: Secrets) -> Iterator[None]:
    """A worker that measures uploads."""
    storage = configured(settings, server_secrets)
    with measuring(
        WorkerContext(settings, database, server_secrets, storage, Outgoing([]), "wrk_1")
    ):
        yield


@pytest.fixture
def storage(settings: Settings, server_secrets: Secrets) -> Storage:
    """Its storage."""
    return configured(settings, server_secrets)


@pytest.fixture
def _rules(settings: Settings) -> Iterator[None]:
    """The bucket's rules that let scripts of the page upload."""
    from aistemsplitter_server.storage import s3_bucket, s3_rules

    assert settings.storage is not None
    target = s3_bucket.bucket(settings.storage, settings)
    uploading = s3_rules.uploading_origins(settings)
    s3_rules.set_cors(target, s3_rules.cors_rules(target, [], uploading))
    yield
    target.client.delete_bucket_cors(Bucket=target.name)
    target.client.close()


def sent(page: Page) -> list[Request]:
    """Split the song, and return the requests that uploaded it."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if request.method == "PUT" else None)
    page.goto("/studio")
    page.locator("#files").set_input_files(SONG)
    page.locator("[value=htdemucs_tiny]").check()
    page.locator("#go").click()
    row = page.locator("#songs .song").first
    expect(row).to_have_attribute("data-live", "")  # it is queued
    return found


def uploaded(database: Database, storage: Storage) -> Upload:
    """Return the upload of the song, after comparing its bytes."""
    with database.read() as session:
        found = session.query(Upload).filter(Upload.stored_at.is_not(None)).one()
    with storage.open(keys.upload(found.id)) as file:
        assert file.read() == SONG.read_bytes()
    return found


@pytest.mark.usefixtures("_rules")
def test_a_song_goes_to_the_bucket(
    page: Page, seaweed: Seaweed, database: Database, storage: Storage
) -> None:
    assert [request.url.startswith(f"{seaweed.endpoint}/") for request in sent(page)] == [True]
    assert uploaded(database, storage).direct_until is not None


def test_a_bucket_that_the_page_cannot_reach(
    page: Page, base: str, seaweed: Seaweed, database: Database, storage: Storage
) -> None:
    """As without a rule of the bucket for the page's origin."""
    page.route(f"{seaweed.endpoint}/**", lambda route: route.abort("failed"))
    first, second = sent(page)
    assert first.url.startswith(f"{seaweed.endpoint}/")
    assert second.url.startswith(f"{base}/uploads/")
    assert uploaded(database, storage).direct_until is None


@pytest.fixture
def _in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the song be a large file, though of one part: storages take no smaller ones."""
    monkeypatch.setattr(direct, "LARGEST", SONG.stat().st_size - 1)


@pytest.mark.usefixtures("_rules", "_in_parts")
def test_a_large_file_goes_to_the_bucket_in_parts(
    page: Page, seaweed: Seaweed, database: Database, storage: Storage
) -> None:
    (request,) = sent(page)
    assert request.url.startswith(f"{seaweed.endpoint}/")
    assert "partNumber=1" in request.url
    uploaded(database, storage)


@pytest.mark.usefixtures("_in_parts")
def test_a_large_file_and_a_bucket_that_the_page_cannot_reach(
    page: Page, base: str, seaweed: Seaweed, database: Database, storage: Storage
) -> None:
    page.route(f"{seaweed.endpoint}/**", lambda route: route.abort("failed"))
    first, asked, second = sent(page)
    assert first.url.startswith(f"{seaweed.endpoint}/")
    assert asked.headers["content-range"].startswith("bytes */")
    assert second.url.startswith(f"{base}/uploads/")
    uploaded(database, storage)
