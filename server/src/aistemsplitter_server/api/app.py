"""The application, put together."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic.alias_generators import to_camel
from starlette.middleware.cors import CORSMiddleware

from aistemsplitter_server.api import cors, faults, metrics, openapi
from aistemsplitter_server.api.bodies import Bodies, limit_of_api
from aistemsplitter_server.api.context import Context
from aistemsplitter_server.api.faults import Faults
from aistemsplitter_server.api.frame import Frame
from aistemsplitter_server.api.metrics import Requests
from aistemsplitter_server.api.rate_limit_store import RateLimitStore
from aistemsplitter_server.api.rate_limits import RateLimits
from aistemsplitter_server.api.routes import (
    credits,
    health,
    models,
    payments,
    splits,
    storage,
    uploads,
    webhooks,
)
from aistemsplitter_server.api.stock import Stock
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations.throughput import History
from aistemsplitter_server.payments.configured import configured as payments_of
from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.queueing import Positions
from aistemsplitter_server.splits.stream import Streams
from aistemsplitter_server.storage.configured import configured as storage_of
from aistemsplitter_server.uploads.measurements import Measurements
from aistemsplitter_server.web.app import Dispatch, create_pages

ROUTERS = (
    health.router,
    metrics.router,
    openapi.router,
    credits.router,
    models.router,
    uploads.router,
    splits.router,
    webhooks.router,
    payments.router,
    storage.router,
)


def create_app(settings: Settings, database: Database, secrets: Secrets) -> FastAPI:
    """The API over a migrated database; opens and closes nothing itself."""
    app = routed()
    app.state.context = Context(
        settings,
        database,
        secrets,
        RateLimits(database, RateLimitStore(database, settings.data)),
        Positions(database),
        Changes(database),
        Streams(),
        History(),
        Measurements(settings, database, storage_of(settings, secrets)),
        payments_of(settings),
    )
    app.state.registry = metrics.registry()
    app.state.registry.register(Stock(settings, database))
    faults.install(app)
    # From the inside out: whoever stands outside also sees the answers of those within.
    app.add_middleware(Bodies, limit=limit_of_api)
    app.add_middleware(Faults)
    if settings.origins:
        app.add_middleware(CORSMiddleware, **cors.rules(settings.origins))
    # Beside all this, not within: who may call the API from a browser may not call the pages.
    app.add_middleware(Dispatch, pages=create_pages(app.state.context), api=ROUTERS)
    app.add_middleware(Frame, requests=Requests(app.state.registry))
    return app


def routed() -> FastAPI:
    """All endpoints and nothing behind them: what the API's document is made of."""
    app = FastAPI(
        title="AI Stem Splitter",
        version="1",
        openapi_url=None,  # ours is in openapi.py
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: to_camel(route.name),
    )
    for router in ROUTERS:
        app.include_router(router)
    return app
