"""Static files, under a URL that changes with any of them, so that browsers cache them for ever.

Scripts import each other by relative paths, so one hash stands for the whole folder.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.web import guard

router = APIRouter()

PREFIX = "/assets"
# Workers that may compile WebAssembly: the policy of a worker is that of its own response.
WITH_WASM = {"player/shift_worker.js"}
FOR_EVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
TEXTUAL = ("text/", "image/svg", "application/json")


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    packed: bytes | None  # gzipped
    media_type: str


def url(name: str) -> str:
    """Return the URL of a file in ``static/``."""
    if name not in _assets():
        raise LookupError(f"no such file: static/{name}")
    return f"{PREFIX}/{_version()}/{name}"


@router.get(PREFIX + "/{version}/{name:path}")
async def asset(request: Request, version: str, name: str) -> Response:
    """Return a file. Another version is requested only while servers of two versions run."""
    found = _assets().get(name)
    if found is None:
        raise NotFound
    if name in WITH_WASM:
        guard.allow(request, "script-src", "'wasm-unsafe-eval'")
    headers = {"Cache-Control": FOR_EVER if version == _version() else "no-cache"}
    body = found.body
    if found.packed is not None:
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = found.packed
    return Response(body, media_type=found.media_type, headers=headers)


@cache
def _assets() -> dict[str, _Asset]:
    """Return all files by name. They are some hundred kB, so they stay in memory."""
    found: dict[str, _Asset] = {}
    _gather(resources.files(__package__).joinpath("static"), "", found)
    return found


def _gather(folder: Traversable, prefix: str, found: dict[str, _Asset]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        name = prefix + entry.name
        if entry.is_dir():
            _gather(entry, name + "/", found)
        else:
            body = entry.read_bytes()
            media_type = _media_type(entry.name)
            packed = gzip.compress(body, mtime=0) if media_type.startswith(TEXTUAL) else None
            found[name] = _Asset(body, packed, media_type)


def _media_type(name: str) -> str:
    ending = name[name.rfind(".") :]
    return TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, found in _assets().items():
        digest.update(name.encode() + b"\0" + found.body + b"\0")
    return digest.hexdigest()[:16]
