"""``/storage/...``: downloads by presigned URLs, with ranges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.standing import Recheck
from aistemsplitter_server.api.responses import errors, signed
from aistemsplitter_server.http.context import Context, InContext, InStorage
from aistemsplitter_server.kit.errors import (
    AccountSuspended,
    Forbidden,
    NotFound,
    RangeNotSatisfiable,
)
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import headers, keys, ranges, signing
from aistemsplitter_server.storage.interface import Info, Missing, Storage
from aistemsplitter_server.storage.keys import InvalidKey
from aistemsplitter_server.uploads.tables import Upload

router = APIRouter(prefix="/storage", tags=["storage"])

CHUNK = 1 << 18  # bytes that one download holds in memory, besides the sockets' buffers


DIRECT = timedelta(minutes=15)  # in which a redirected download can begin
REDIRECT = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

BYTES: dict[str, Any] = {"content": {"application/octet-stream": {}, "audio/*": {}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes of the object.", **BYTES},
    206: {"description": "The requested range.", **BYTES},
    302: {"description": "The bytes are in object storage, at the URL in `Location`."},
    **errors(Forbidden, AccountSuspended, NotFound, RangeNotSatisfiable),
}


@router.get(
    "/{key:path}",
    response_class=StreamingResponse,
    response_model=None,
    responses=ANSWERS,
    openapi_extra={"parameters": signed("expires", "filename", "signature")},
)
@router.head("/{key:path}", response_model=None, include_in_schema=False)
def read_object(context: InContext, storage: InStorage, request: Request, key: str) -> Response:
    """Return an object or a range of it."""
    filename = signing.verify(context.secrets, key, request.query_params.multi_items())
    check = partial(_check_owner, context, key)
    check()
    try:
        found = storage.info(key)
        if request.method == "GET" and (address := _direct(storage, key, filename)):
            return RedirectResponse(address, 302, REDIRECT)
        asked = request.headers
        part = ranges.wanted(asked.get("range"), asked.get("if-range"), found.etag, found.size)
        span = range(found.size) if part is None else part
        response_headers = _headers(found, filename, span)
        if part is not None:
            response_headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{found.size}"
        status, kind = 200 if part is None else 206, headers.content_type(key)
        if request.method == "HEAD":
            return Response(None, status, response_headers, kind)
        file = storage.open(key, span)
        pieces = _pieces(file, len(span), standing.Recheck(check))
        return Download(pieces, file, status, response_headers, kind)
    except ranges.Unsatisfiable:
        raise RangeNotSatisfiable(found.size) from None
    except (Missing, InvalidKey):
        raise NotFound("This object no longer exists.") from None


def _direct(storage: Storage, key: str, filename: str) -> str | None:
    """Return where the object can be downloaded from the bucket.

    Listening copies are not: a bucket answers scripts of our pages only if its CORS rules say so.
    """
    if key.endswith(f".{keys.PIECES}"):
        return None
    return storage.direct_url(key, expires_in=DIRECT, filename=filename)


def _headers(found: Info, filename: str, span: range) -> dict[str, str]:
    response_headers = {
        "Accept-Ranges": "bytes",
        "ETag": found.etag,
        "Content-Disposition": headers.content_disposition(filename),
        "Content-Length": str(len(span)),
        "Cache-Control": "private, no-transform",
        "Referrer-Policy": "no-referrer",  # the URL grants access
        "X-Content-Type-Options": "nosniff",
    }
    if found.sha256 is not None:
        response_headers["Repr-Digest"] = headers.repr_digest(found.sha256)
    return response_headers


def _check_owner(context: Context, key: str) -> None:
    """Refuse objects of accounts that are suspended or deleted."""
    kind, _, rest = key.partition("/")
    table = Upload if kind == "uploads" else Split
    owner = select(table.account_id).where(table.id == rest.partition("/")[0])
    with context.database.read() as session:
        account_id = session.scalar(owner)
        if account_id is not None:
            standing.require_active(session, account_id)


class Download(StreamingResponse):
    """A response that streams a range of a file, and closes the file in any case."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        file: BinaryIO,
        status: int,
        response_headers: dict[str, str],
        media_type: str,
    ) -> None:
        self._file = file
        super().__init__(pieces, status, response_headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with closing(self._file):
            await super().__call__(scope, receive, send)


async def _pieces(file: BinaryIO, left: int, check: Recheck) -> AsyncIterator[bytes]:
    while left:
        if check.is_due:
            await run_in_threadpool(check)
        piece = await run_in_threadpool(file.read, min(CHUNK, left))
        if not piece:
            raise OSError("an object became shorter while it was read")
        yield piece
        left -= len(piece)
