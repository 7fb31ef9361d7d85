from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from aistemsplitter_server.api import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.schemas import Request
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings


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
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = listener.getsockname()[1]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join()
    listener.close()
