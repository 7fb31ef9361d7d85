"""The web app manifest, with which browsers install the studio as an app."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aistemsplitter_server.web import assets, pages

router = APIRouter()

ICON = "#5b5bd6"  # the background of the icon


@router.get("/manifest.webmanifest")
async def manifest(request: Request) -> JSONResponse:
    """Return the manifest, in the browser's language."""
    t = pages.language_of(request)
    content = {
        "id": "/studio",
        "name": t("frame.name"),
        "short_name": t("frame.short_name"),
        "description": t("frame.description"),
        "lang": t.language,
        "start_url": "/studio",
        "scope": "/",
        "display": "standalone",
        "background_color": ICON,
        "theme_color": ICON,
        "icons": [
            {"src": assets.url("icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": assets.url("icon-512.png"), "sizes": "512x512", "type": "image/png"},
            {
                "src": assets.url("icon-maskable.png"),
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
            {"src": assets.url("icon.svg"), "sizes": "any", "type": "image/svg+xml"},
        ],
    }
    headers = {"Vary": "Cookie, Accept-Language"}
    return JSONResponse(content, headers=headers, media_type="application/manifest+json")
