"""The application of the pages, beside the API's, and who of the two answers a request."""

from __future__ import annotations

import logging
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.api import faults
from aistemsplitter_server.api.bodies import Bodies
from aistemsplitter_server.api.context import Context
from aistemsplitter_server.kit.database import AWAY
from aistemsplitter_server.kit.errors import ApiError, Internal, Unavailable
from aistemsplitter_server.web import (
    account,
    assets,
    developer,
    operator,
    operator_accounts,
    operator_failures,
    packs,
    pages,
    people,
    player,
    shares,
    sign_in,
    songs,
    studio,
    usage,
    webhooks,
)
from aistemsplitter_server.web.guard import Policy, SameSite
from aistemsplitter_server.web.sessions import SignInNeeded

logger = logging.getLogger(__name__)

ROUTERS = (
    assets.router,
    sign_in.router,
    studio.router,
    songs.router,
    shares.router,
    player.router,
    developer.router,
    webhooks.router,
    usage.router,
    packs.router,
    people.router,
    account.router,
    operator.router,
    operator_accounts.router,
    operator_failures.router,
)


def create_pages(context: Context) -> ASGIApp:
    """The pages, guarded."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    _install(app)
    # From the inside out.
    app.add_middleware(Bodies, limit=context.settings.json_body_limit, pages=True)
    app.add_middleware(SameSite, public_url=context.settings.public_url)
    app.add_middleware(_Faults)
    app.add_middleware(Policy, settings=context.settings)
    return app


class Dispatch:
    """ASGI middleware: pages to the pages, everything else to the API."""

    def __init__(self, app: ASGIApp, pages: ASGIApp) -> None:
        self.app = app
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        is_page = scope["type"] == "http" and _is_page(scope)
        await (self.pages if is_page else self.app)(scope, receive, send)


API = {
    "v1",
    "uploads",
    "storage",
    "payments",
    "openapi.json",
    "openapi.yaml",
    "healthz",
    "readyz",
    "metrics",
}
PAGES = {"", "assets", "sign-in", "sign-out", "join", "language", "studio", "shared", "settings",
         "operator", "favicon.ico"}  # fmt: skip


def _is_page(scope: Scope) -> bool:
    """What neither of them knows is a page for browsers, and the API's for all others."""
    first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
    if first in PAGES:
        return True
    return first not in API and "text/html" in Headers(scope=scope).get("accept", "")


class _Faults:
    """ASGI middleware: a fault of ours is a page, too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except ApiError as error:
            await _answer(Request(scope), error)(scope, receive, send)
        except Exception:
            logger.exception("a fault of ours")
            if started:
                raise
            await _answer(Request(scope), Internal())(scope, receive, send)


def _install(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def _ours(request: Request, error: ApiError) -> Response:
        return _answer(request, error)

    @app.exception_handler(SignInNeeded)
    async def _sign_in(request: Request, _error: SignInNeeded) -> Response:
        return _to_sign_in(request)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, faults.invalid(error))

    async def database_away(request: Request, error: Exception) -> Response:
        logger.error("the database cannot be used: %s", type(error).__name__)
        return _answer(request, Unavailable("The database cannot be reached."))

    for kind in AWAY:
        app.exception_handler(kind)(database_away)

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        return _answer(request, faults.translated(error))


def _answer(request: Request, error: ApiError) -> Response:
    """For scripts the API's shape, for htmx a line to show, for people a page."""
    t = pages.language_of(request)
    if "application/json" in request.headers.get("accept", ""):
        envelope = error.envelope()
        envelope["error"]["message"] = pages.told(t, error)
        return JSONResponse(envelope, error.status, error.headers)
    if request.headers.get("hx-request") == "true":
        return PlainTextResponse(pages.told(t, error), error.status, error.headers)
    return pages.render(
        request,
        "error.html",
        status=error.status,
        headers=error.headers,
        message=pages.told(t, error),
        request_id=request.state.request_id,
    )


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(
            {"success": False, "error": {"code": "UNAUTHORIZED", "message": "Sign in first."}}, 401
        )
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse(f"/sign-in?next={quote(wanted)}", 303)
