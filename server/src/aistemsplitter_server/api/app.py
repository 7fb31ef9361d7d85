"""The application, put together."""

from __future__ import annotations

from fastapi import FastAPI

from aistemsplitter_server.api import access_log, faults, health
from aistemsplitter_server.api.context import Context
from aistemsplitter_server.api.frame import Frame
from aistemsplitter_server.credits import endpoints as credits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import endpoints as storage


def create_app(settings: Settings, database: Database, secrets: Secrets) -> FastAPI:
    """The API over a migrated database; opens and closes nothing itself."""
    app = FastAPI(
        title="AI Stem Splitter",
        version="1",
        openapi_url=None,  # not before its schemas and error responses are right
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = Context(settings, database, secrets)
    app.include_router(health.router)
    app.include_router(credits.router)
    app.include_router(storage.router)
    faults.install(app)
    access_log.install()
    app.add_middleware(Frame, json_body_limit=settings.json_body_limit)
    return app
