"""The pages as one ASGI application: their routes and their middleware."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp

from aistemsplitter_server.http import faults
from aistemsplitter_server.http.bodies import Bodies
from aistemsplitter_server.http.context import Context
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.web import (
    account,
    activity,
    assets,
    developer,
    manifest,
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
    manifest.router,
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
    """Return the pages."""
    app = routed()
    app.state.context = context
    faults.install(app, _answer)

    @app.exception_handler(SignInNeeded)
    async def _sign_in(request: Request, _error: SignInNeeded) -> Response:
        return _to_sign_in(request)

    # Each middleware stands outside those added before it.
    app.add_middleware(Bodies, limit=sessions.body_limit, pages=True)
    app.add_middleware(SameSite, public_url=context.settings.public_url)
    app.add_middleware(faults.Faults, answer=_answer)
    app.add_middleware(Policy, settings=context.settings)
    return app


def routed() -> FastAPI:
    """Return an application with all routes and nothing behind them."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _answer(request: Request, error: ApiError) -> Response:
    """Respond to scripts with the API's JSON, to htmx with text, and to people with a page."""
    t = pages.language_of(request)
    if "application/json" in request.headers.get("accept", ""):
        envelope = error.envelope()
        envelope["error"]["message"] = pages.message(t, error)
        return JSONResponse(envelope, error.status, error.headers)
    if pages.is_fragment(request):
        return PlainTextResponse(pages.message(t, error), error.status, error.headers)
    return pages.render(
        request,
        "error.html",
        status=error.status,
        headers=error.headers,
        message=pages.message(t, error),
        request_id=request.state.request_id,
    )


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "application/json" in request.headers.get("accept", ""):
        message = pages.language_of(request)("errors.UNAUTHORIZED")
        return JSONResponse(
            {"success": False, "error": {"code": "UNAUTHORIZED", "message": message}}, 401
        )
    if pages.is_fragment(request):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse(f"/sign-in?next={quote(wanted)}", 303)
