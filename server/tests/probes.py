"""Endpoints for tests: one with a body, and one with a fault."""

from __future__ import annotations

from fastapi import FastAPI

from aistemsplitter_server.kit.schemas import Request


class Song(Request):
    """The body of the first endpoint."""

    file_name: str
    seconds: int


def add_probes(app: FastAPI) -> FastAPI:
    """Add the endpoints to the application, and return it."""

    @app.post("/v1/test/songs", include_in_schema=False)
    def song(song: Song) -> int:
        return song.seconds

    @app.get("/v1/test/fault", include_in_schema=False)
    def fault() -> None:
        raise RuntimeError("a secret detail")

    return app
