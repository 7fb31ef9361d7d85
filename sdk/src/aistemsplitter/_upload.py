"""Uploads: request a presigned URL and send the bytes straight to the storage, with retries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

from aistemsplitter._core import Session
from aistemsplitter._effects import Body, Operation, Request, blocking
from aistemsplitter._errors import AiStemSplitterError, FileError
from aistemsplitter._models import TransferProgress
from aistemsplitter._sending import EXPIRED, send_with_retries
from aistemsplitter._source import (
    Opened,
    Source,
    content_type_of,
    digest,
    open_source,
    spool_async,
)
from aistemsplitter._upload_models import DirectUpload, Upload
from aistemsplitter._upload_parts import send_parts

LARGE = 100_000_000  # bytes; services take larger files in parts

#: ``_operations.reserve``, passed as an argument because ``_operations`` imports this module.
Reserve: TypeAlias = Callable[[Session, str, int, Mapping[str, str]], Operation[Upload]]


def upload(
    session: Session,
    reserve: Reserve,
    source: Source,
    *,
    filename: str | None,
    key: str | None,
    on_progress: Callable[[TransferProgress], object] | None,
) -> Operation[Upload]:
    """Upload a source and return the upload, ready to be submitted.

    Args:
        reserve: Operation that requests the presigned URL.
        key: Idempotency key under which the same content is uploaded only once, by any process;
            None to upload it every time.

    Raises:
        FileError: The source cannot be read. FileChanged: It changed during the upload.
        UploadFailed: The storage did not accept the upload.
    """
    closing = ExitStack()
    try:
        source = yield from spool_async(source, closing)
        opened = yield from blocking(partial(open_source, source, filename, closing))
        sha256 = None if key is None else (yield from blocking(partial(digest, opened)))
        headers = {"Direct-Upload": "true"}  # the service may return a URL of its bucket
        if sha256 is not None:
            headers["Upload-Sha256"] = sha256
            headers["Idempotency-Key"] = _key_of(sha256, key)
        for renewal in (False, True):
            reserved = yield from reserve(session, opened.name, opened.length, headers)
            if reserved.uploaded:
                break
            if (yield from _put(session, reserved, opened, on_progress, last=renewal)):
                break
            headers.pop("Idempotency-Key", None)  # it would return the same expired URL
    except OSError as problem:
        if isinstance(problem, AiStemSplitterError):  # DeadlineExceeded is both
            raise
        reason = problem.strerror or str(problem)
        raise FileError(f"the input cannot be read: {reason}", cause=problem) from problem
    else:
        return reserved
    finally:
        closing.close()  # not an effect, because a cancelled operation cannot yield


def _key_of(sha256: str, key: str | None) -> str:
    """Return the idempotency key of the upload, which also depends on its content."""
    return f"upload-{hashlib.sha256(f'{key} {sha256}'.encode()).hexdigest()}"


def _put(
    session: Session,
    reserved: Upload,
    opened: Opened,
    on_progress: Callable[[TransferProgress], object] | None,
    *,
    last: bool,
) -> Operation[bool]:
    """Send the bytes; return False if the URL has expired, unless this is the last one."""

    def on_sent(done: int) -> object:
        progress = TransferProgress(name=opened.name, bytes_done=done, bytes_total=opened.length)
        return on_progress(progress) if on_progress else None

    if reserved.parts_url is not None:
        return (yield from send_parts(session, reserved.parts_url, opened, on_sent, last=last))
    direct = reserved.direct or DirectUpload(
        url=reserved.upload_url, headers=reserved.upload_headers
    )
    headers = dict(direct.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type_of(opened.name)
    request = Request(
        method=direct.method,
        url=direct.url,
        headers=headers,
        body=Body(opened.length, partial(opened.chunks, 0, opened.length), on_sent),
        timeouts=session.timeouts,
        deadline=session.deadline,
    )
    reply = yield from send_with_retries(
        session, request, opened.name, expired=() if last else EXPIRED
    )
    return reply is not None
