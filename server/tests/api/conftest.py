from __future__ import annotations

import pytest
from fastapi import FastAPI

from aistemsplitter_server.kit.schemas import Request


class Song(Request):
    """A body for the tests."""

    file_name: str
    seconds: int


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """The API, and endpoints that only tests have."""

    @app.post("/v1/test/songs", include_in_schema=False)
    def song(song: Song) -> int:
        return song.seconds

    @app.get("/v1/test/fault", include_in_schema=False)
    def fault() -> None:
        raise RuntimeError("a secret detail")

    return app
