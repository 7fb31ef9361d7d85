"""Protection of the pages: a content security policy, and no changes from other sites.

A page that needs more than the policy allows asks: ``guard.allow(request, "script-src", "...")``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.kit.errors import Forbidden
from aistemsplitter_server.kit.settings import Settings

SAFE = {"GET", "HEAD", "OPTIONS"}
POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "media-src": "'self' blob:",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Cache-Control": "no-store",  # unless the response sets it
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ASKED = "csp"


def allow(request: Request, directive: str, source: str) -> None:
    """Extend the policy for this page."""
    request.scope["state"].setdefault(ASKED, []).append((directive, source))


class Policy:
    """ASGI middleware that sets the security headers of pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._policy = dict(POLICY)
        self._headers = dict(HEADERS)
        if settings.public_url is not None:  # songs are up- and downloaded there
            self._policy["connect-src"] += f" {_origin(settings.public_url)}"
        if settings.hsts_seconds:
            self._headers["Strict-Transport-Security"] = f"max-age={settings.hsts_seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["Content-Security-Policy"] = _written(self._policy, state.get(ASKED, []))
            await send(message)

        await self.app(scope, receive, guarded)


class SameSite:
    """ASGI middleware that refuses changes from other sites, whatever cookie they come with."""

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self.app = app
        self._origin = public_url and _origin(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            Forbidden: It would change something, and comes from another site.
        """
        if scope["type"] == "http" and scope["method"] not in SAFE:
            self._refuse_others(Headers(scope=scope))
        await self.app(scope, receive, send)

    def _refuse_others(self, headers: Headers) -> None:
        """Current browsers send whether it is the same site; older ones send the origin."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            ours = site == "same-origin"
        else:
            ours = origin is not None and (
                origin == self._origin or origin.partition("://")[2] == headers.get("host")
            )
        if not ours:
            raise Forbidden("This request came from another site.")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _written(policy: Mapping[str, str], asked: list[tuple[str, str]]) -> str:
    more = dict(policy)
    for directive, source in asked:
        more[directive] = f"{more[directive]} {source}"
    return "; ".join(f"{directive} {sources}" for directive, sources in more.items())
