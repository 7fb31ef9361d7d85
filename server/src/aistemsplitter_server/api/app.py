"""The API as one ASGI application: its routes and its middleware."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic.alias_generators import to_camel
from starlette.middleware.cors import CORSMiddleware

from aistemsplitter_server.api import cors
from aistemsplitter_server.api.authentication import body_limit
from aistemsplitter_server.api.routes import (
    credits,
    endpoints,
    events,
    health,
    metrics,
    models,
    openapi,
    payments,
    splits,
    storage,
    stored_uploads,
    uploads,
    usage,
    webhooks,
)
from aistemsplitter_server.http import faults
from aistemsplitter_server.http.bodies import Bodies
from aistemsplitter_server.http.context import Context

ROUTERS = (
    health.router,
    metrics.router,
    openapi.router,
    credits.router,
    usage.router,
    models.router,
    uploads.router,
    stored_uploads.router,
    splits.router,
    endpoints.router,
    webhooks.router,
    events.router,
    payments.router,
    storage.router,
)


def create_api(context: Context, registry: CollectorRegistry) -> FastAPI:
    """Return the API.

    Args:
        registry: The metrics that ``/metrics`` shows.
    """
    app = routed()
    app.state.context = context
    app.state.registry = registry
    faults.install(app)
    # Each middleware stands outside those added before it, and sees their responses.
    app.add_middleware(Bodies, limit=body_limit)
    app.add_middleware(faults.Faults)
    if context.settings.origins:
        app.add_middleware(CORSMiddleware, **cors.rules(context.settings.origins))
    return app


def routed() -> FastAPI:
    """Return an application with all routes and nothing behind them, for the OpenAPI document."""
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
