from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI

from aistemsplitter_server.api import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.schemas import Request
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from serving import serving


class Song(Request):
    """A body for the tests."""

    file_name: str
    seconds: int


@pytest.fixture
def app(settings: Settings, database: Database, server_secrets: Secrets) -> FastAPI:
    """The API, and endpoints that only tests have."""
    app = create_app(settings, database, server_secrets)

    @app.post("/v1/test/songs", include_in_schema=False)
    def song(song: Song) -> int:
        return song.seconds

    @app.get("/v1/test/fault", include_in_schema=False)
    def fault() -> None:
        raise RuntimeError("a secret detail")

    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx2.Client]:
    """A client of the real server on a loopback port."""
    with serving(app) as client:
        yield client
