"""The application: the API and the pages behind one port."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from aistemsplitter_server.api import app as api
from aistemsplitter_server.api.database_metrics import DatabaseMetrics
from aistemsplitter_server.api.machine_metrics import MachineMetrics
from aistemsplitter_server.http import metrics
from aistemsplitter_server.http.context import Context
from aistemsplitter_server.http.frame import Frame
from aistemsplitter_server.http.rate_limit_store import RateLimitStore
from aistemsplitter_server.http.rate_limits import RateLimits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations.queue_sums import QueueSums
from aistemsplitter_server.operations.throughput import History
from aistemsplitter_server.payments.configured import configured as payments_of
from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.queueing import Positions
from aistemsplitter_server.splits.stream import Streams
from aistemsplitter_server.storage.configured import configured as storage_of
from aistemsplitter_server.uploads.measurements import Measurements
from aistemsplitter_server.web import app as web


def create_app(settings: Settings, database: Database, secrets: Secrets) -> FastAPI:
    """Return the application over a migrated database. It opens and closes nothing itself."""
    storage = storage_of(settings, secrets)
    context = Context(
        settings,
        database,
        secrets,
        storage,
        RateLimits(database, RateLimitStore(database, settings.data)),
        Positions(database),
        Changes(database),
        Streams(),
        History(),
        QueueSums(database),
        Measurements(settings, database, storage),
        payments_of(settings),
    )
    registry = metrics.registry()
    registry.register(DatabaseMetrics(settings, database))
    registry.register(MachineMetrics(settings.data))
    app = api.create_api(context, registry)
    # The pages stand outside the API's CORS: origins that may call the API may not call them.
    app.add_middleware(Dispatch, pages=web.create_pages(context))
    app.add_middleware(Frame, requests=metrics.Requests(registry))
    return app


class Dispatch:
    """ASGI middleware that sends requests for pages to the pages, and all others to the API.

    A path that neither knows goes to the pages if a browser asks for it, and to the API otherwise.
    """

    def __init__(self, app: ASGIApp, pages: ASGIApp) -> None:
        self.app = app
        self.pages = pages
        self._first_of_api = _first_parts(api.ROUTERS)
        self._first_of_pages = _first_parts(web.ROUTERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        is_page = scope["type"] == "http" and self._is_page(scope)
        await (self.pages if is_page else self.app)(scope, receive, send)

    def _is_page(self, scope: Scope) -> bool:
        first = scope["path"].removeprefix("/").partition("/")[0]
        if first in self._first_of_pages:
            return True
        accepted = Headers(scope=scope).get("accept", "")
        return first not in self._first_of_api and "text/html" in accepted


def _first_parts(routers: Iterable[APIRouter]) -> frozenset[str]:
    """Return what the routers' paths begin with, up to the second slash."""
    return frozenset(
        route.path.removeprefix("/").partition("/")[0]
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    )
