"""The application of the pages, beside the API's, and who of the two answers a request."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from aistemsplitter_server.api import faults
from aistemsplitter_server.api.bodies import Bodies
from aistemsplitter_server.api.context import Context
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.web import (
    account,
    activity,
    assets,
    developer,
    operator,
    operator_accounts,
    operator_audit,
    operator_failures,
    operator_limits,
    packs,
    pages,
    people,
    player,
    sdk_wheel,
    sessions,
    shares,
    sign_in,
    songs,
    studio,
    usage,
    webhooks,
)
from aistemsplitter_server.web.guard import Policy, SameSite
from aistemsplitter_server.web.sessions import SignInNeeded

ROUTERS = (
    assets.router,
    sdk_wheel.router,
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
    activity.router,
    account.router,
    operator.router,
    operator_accounts.router,
    operator_failures.router,
    operator_limits.router,
    operator_audit.router,
)


def create_pages(context: Context) -> ASGIApp:
    """The pages, guarded."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    faults.install(app, _answer)

    @app.exception_handler(SignInNeeded)
    async def _sign_in(request: Request, _error: SignInNeeded) -> Response:
        return _to_sign_in(request)

    # From the inside out.
    app.add_middleware(Bodies, limit=sessions.body_limit, pages=True)
    app.add_middleware(SameSite, public_url=context.settings.public_url)
    app.add_middleware(faults.Faults, answer=_answer)
    app.add_middleware(Policy, settings=context.settings)
    return app


class Dispatch:
    """ASGI middleware: pages to the pages, everything else to the API.

    What neither of them knows is a page for browsers, and the API's for all others.
    """

    def __init__(self, app: ASGIApp, pages: ASGIApp, api: Iterable[APIRouter]) -> None:
        self.app = app
        self.pages = pages
        self._first_of_api = _first_parts(api)
        self._first_of_pages = _first_parts(ROUTERS)

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
    """What the paths begin with, up to the second slash."""
    return frozenset(
        route.path.removeprefix("/").partition("/")[0]
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    )


def _answer(request: Request, error: ApiError) -> Response:
    """For scripts the API's shape, for htmx a line to show, for people a page."""
    t = pages.language_of(request)
    if "application/json" in request.headers.get("accept", ""):
        envelope = error.envelope()
        envelope["error"]["message"] = pages.told(t, error)
        return JSONResponse(envelope, error.status, error.headers)
    if pages.is_fragment(request):
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
    if pages.is_fragment(request):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse(f"/sign-in?next={quote(wanted)}", 303)
