"""Uploading: reserve, send the bytes straight to the storage, anew where the line broke."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

from aistemsplitter._core import (
    Session,
    error_of_failure,
    error_of_reply,
    logger,
    worth_a_retry,
)
from aistemsplitter._effects import Body, Failure, Operation, Request, Sleep, blocking, send
from aistemsplitter._errors import AiStemSplitterError, FileError, UploadFailed
from aistemsplitter._models import DirectUpload, TransferProgress, Upload
from aistemsplitter._source import Opened, Source, content_type_of, digest, open_source

#: ``create_upload`` of the operations, which stands above this module.
Reserve: TypeAlias = Callable[[Session, str, int, str | None, str | None], Operation[Upload]]

EXPIRED = (401, 403, 410)
ALREADY_THERE = (409, 412)  # the right to write was used: by a try whose answer was lost


def upload(
    session: Session,
    reserve: Reserve,
    source: Source,
    *,
    filename: str | None,
    key: str | None,
    on_progress: Callable[[TransferProgress], object] | None,
) -> Operation[Upload]:
    """Upload a source; its reservation, filled.

    Args:
        key: under which the same content is uploaded once, whoever calls how often; None to upload
            it in any case.

    Raises:
        FileError: it cannot be read. FileChanged: it changed meanwhile.
        UploadFailed: the storage did not take it.
    """
    closing = ExitStack()
    try:
        opened = yield from blocking(partial(open_source, source, filename, closing))
        once = None if key is None else (yield from blocking(partial(_key_of, opened, key)))
        for renewal in (False, True):
            reserved = yield from reserve(session, opened.name, opened.length, None, once)
            if reserved.uploaded:
                break
            if (yield from _put(session, reserved, opened, on_progress, last=renewal)):
                break
            once = None  # with it, the same expired reservation would come again
    except OSError as problem:
        if isinstance(problem, AiStemSplitterError):  # DeadlineExceeded is both
            raise
        reason = problem.strerror or str(problem)
    else:
        return reserved
    finally:
        closing.close()  # quick, so a cancelled operation can do it
    raise FileError(f"cannot read the input: {reason}")


def _key_of(opened: Opened, key: str) -> str:
    """The reservation's own key: other content makes another, and then a mismatch."""
    return f"upload-{hashlib.sha256(f'{key} {digest(opened)}'.encode()).hexdigest()}"


def _put(
    session: Session,
    reserved: Upload,
    opened: Opened,
    on_progress: Callable[[TransferProgress], object] | None,
    *,
    last: bool,
) -> Operation[bool]:
    """Send the bytes; False if the permission had expired and another may be had."""
    direct = reserved.direct or DirectUpload(
        url=reserved.upload_url, headers=reserved.upload_headers
    )
    headers = dict(direct.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type_of(opened.name)

    def on_sent(done: int) -> None:
        if on_progress:
            on_progress(
                TransferProgress(name=opened.name, bytes_done=done, bytes_total=opened.length)
            )

    # No deadline: how long a file takes is the line's affair. A line that stands still times out.
    request = Request(
        method=direct.method,
        url=direct.url,
        headers=headers,
        body=Body(opened.length, opened.chunks, on_sent),
        timeouts=session.timeouts,
    )
    retries = 0
    while True:
        error: AiStemSplitterError
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        else:
            logger.debug("upload: %s", reply.status)
            if reply.status < 300 or (retries and reply.status in ALREADY_THERE):
                return True
            if reply.status in EXPIRED and not last:
                return False
            error = error_of_reply(reply.status, reply.headers, reply.body, request)
        if retries >= session.max_retries or not worth_a_retry(error):
            raise UploadFailed(
                f"{opened.name} was not taken: {error.message}",
                status=error.status,
                request_id=error.request_id,
                retry_after=error.retry_after,
            )
        yield Sleep(session.pause(retries, error.retry_after))
        retries += 1
