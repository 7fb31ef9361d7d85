"""Receiving the bytes of an upload piece by piece."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from aistemsplitter_server.accounts.standing import Recheck
from aistemsplitter_server.kit.errors import (
    Conflict,
    PayloadTooLarge,
    RequestTimeout,
    ValidationFailed,
)
from aistemsplitter_server.storage.interface import Partial
from aistemsplitter_server.uploads.tables import Upload

PIECE = 1 << 20  # bytes written at a time, and all that is held in memory
GATHERED = 10.0  # seconds that a piece is gathered for at most
# A client that we have waited for this long must have sent so many bytes since the last check.
PACE_WINDOW = 60.0  # seconds
PACE = 4096  # bytes per second, on average over that time
RANGE = re.compile(r"bytes (?:\*|(\d{1,15})-(\d{1,15}))/(\d{1,15})", re.ASCII)
FORM = "multipart/form-data"
# A form that is sent with the reserved Content-Type is recognized by its first line.
FORM_START = re.compile(rb"--([^\r\n]{1,70})\r\ncontent-disposition: *form-data;", re.IGNORECASE)
FORM_START_LENGTH = 128  # bytes; enough for the longest start
FORM_OVERHEAD = 1 << 14  # bytes at most that a form adds to its file


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of the file that a request sends; empty if it only asks how many have arrived."""

    start: int
    stop: int


def span(request: Request, upload: Upload) -> Span | None:
    """Return the range in ``Content-Range``; None without one, for the whole file.

    Raises:
        ValidationFailed: It is not a range of this file.
    """
    header = request.headers.get("content-range")
    if header is None:
        return None
    match = RANGE.fullmatch(header)
    if match is None or int(match[3]) != upload.content_length:
        raise _wrong("Content-Range", f"must be bytes START-END/{upload.content_length}")
    if match[1] is None:
        return Span(0, 0)
    start, stop = int(match[1]), int(match[2]) + 1
    if not start < stop <= upload.content_length:
        raise _wrong("Content-Range", "is outside the file")
    return Span(start, stop)


def check_type(request: Request, upload: Upload) -> None:
    """Check that the body has the content type that was reserved.

    Raises:
        ValidationFailed: It has another one.
    """
    content_type = request.headers.get("content-type", "")
    if _media_type(content_type) not in (FORM, _media_type(upload.content_type)):
        raise _wrong("Content-Type", f"must be {upload.content_type}, as reserved")


async def receive(
    request: Request, upload: Upload, part: Span | None, file: Partial, check: Recheck
) -> None:
    """Write the body to the storage. If the connection drops, what has arrived is kept.

    Args:
        check: Raises an exception once the permission to write has ended.

    Raises:
        Forbidden: The permission to write has ended.
        NotFound: The upload was deleted.
        PayloadTooLarge: The file is longer than was reserved.
        ValidationFailed: The file is shorter than announced, or the form has no file in it.
        Conflict: The range begins after the bytes that have arrived.
        RequestTimeout: Nothing, or too little, arrived for a minute.
        OSError: The storage failed, or is full.
        ClientDisconnect: The connection dropped.
    """
    start, stop = (part.start, part.stop) if part else (0, upload.content_length)
    if start > file.size:
        raise Conflict(_continue_from(file.size))
    left = stop - start
    try:
        pieces = await _content(request, left)
        await run_in_threadpool(file.begin, start)
        if file.size < start:
            raise Conflict(_continue_from(file.size))
        async for piece in pieces:
            left -= len(piece)
            if left < 0:
                await run_in_threadpool(file.begin, start)  # it is not the file that was reserved
                raise PayloadTooLarge(stop - start)
            await run_in_threadpool(file.write, piece)
            if check.is_due:
                await run_in_threadpool(check)
    except TimeoutError:
        raise RequestTimeout(
            f"The body arrived at less than {PACE} bytes a second. Resume with Content-Range."
        ) from None
    if left:
        raise _wrong("body", f"is {left} bytes shorter than was announced")


async def _content(request: Request, expected: int) -> AsyncIterator[bytes]:
    """Return the pieces of the file, whether the body is the file or a form that contains it.

    An HTTP library that is given files and our ``uploadHeaders`` sends a form under the reserved
    Content-Type. A body of just the reserved length is always the file itself.

    Raises:
        PayloadTooLarge: The body is longer than the file, and not a form.
        TimeoutError: The body arrives too slowly.
        ClientDisconnect: The connection dropped.
    """
    body = _body(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() == FORM:
        return _file_in_form(body, options.get("boundary", ""))
    header = request.headers.get("content-length", "")
    length = int(header) if header.isdecimal() else None
    if length is not None and length <= expected:
        return body
    if length is not None and length > expected + FORM_OVERHEAD:
        raise PayloadTooLarge(expected)
    start = b""
    async for piece in body:
        start += piece
        if len(start) >= FORM_START_LENGTH:
            break
    whole = _chained(start, body)
    if match := FORM_START.match(start):
        return _file_in_form(whole, match[1].decode("latin-1"))
    if length is not None:
        raise PayloadTooLarge(expected)
    return whole


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


async def _body(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in larger pieces than it arrives in.

    From a slow client they are smaller, so that its permission to write is still checked.

    Raises:
        TimeoutError: The body arrives too slowly.
        ClientDisconnect: The connection dropped.
    """
    gathered, due = bytearray(), time.monotonic() + GATHERED
    stream = aiter(request.stream())
    waited, came = 0.0, 0  # time spent on the client, not on the disk
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PACE_WINDOW - waited):
                part = await anext(stream)
            waited, came = waited + time.monotonic() - began, came + len(part)
            if came >= PACE * PACE_WINDOW:
                waited, came = 0.0, 0
            gathered += part
        except StopAsyncIteration:
            break
        except BaseException:
            if gathered:  # the connection dropped: keep what has arrived
                yield bytes(gathered)
            raise
        if len(gathered) >= PIECE or (gathered and time.monotonic() >= due):
            yield bytes(gathered)
            gathered.clear()
            due = time.monotonic() + GATHERED
    if gathered:
        yield bytes(gathered)


async def _file_in_form(body: AsyncIterator[bytes], boundary: str) -> AsyncIterator[bytes]:
    """Yield the bytes of the form's one part that is named ``file``."""
    parser = PushMultipartParser(boundary, max_segment_count=16)
    found = inside = False
    try:
        async for piece in body:
            for event in parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    inside = event.name == "file"
                    if inside and found:
                        raise _wrong("file", "is there twice")
                    found = found or inside
                elif event and inside:
                    yield bytes(event)
        parser.close()
    except MultipartError:
        raise _wrong("body", "is not a complete multipart form") from None
    if not found:
        raise _wrong("file", "is missing in the form")


def _continue_from(size: int) -> str:
    return f"{size} bytes of this file have arrived: continue from there."


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _wrong(field: str, reason: str) -> ValidationFailed:
    return ValidationFailed([(field, reason)])
