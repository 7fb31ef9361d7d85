"""Uploading: reserve, then send the bytes straight to the storage, again if that fails."""

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
from aistemsplitter._errors import (
    AiStemSplitterError,
    DeadlineExceeded,
    FileError,
    UploadFailed,
)
from aistemsplitter._models import DirectUpload, TransferProgress, Upload
from aistemsplitter._source import (
    Opened,
    Source,
    content_type_of,
    digest,
    open_source,
    spool_async,
)

#: ``create_upload`` of the operations, which import this module.
Reserve: TypeAlias = Callable[[Session, str, int, str | None, str | None], Operation[Upload]]

EXPIRED = (401, 403, 410)
ALREADY_THERE = (409, 412)  # the permission was used, by a try whose answer was lost


def upload(
    session: Session,
    reserve: Reserve,
    source: Source,
    *,
    filename: str | None,
    key: str | None,
    on_progress: Callable[[TransferProgress], object] | None,
) -> Operation[Upload]:
    """Upload a source and return its reservation.

    Args:
        key: Key under which the same content is uploaded only once, by any process; None to upload
            it in any case.

    Raises:
        FileError: It cannot be read. FileChanged: It changed during the upload.
        UploadFailed: The storage did not accept it.
    """
    closing = ExitStack()
    try:
        source = yield from spool_async(source, closing)
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
        raise FileError(f"cannot read the input: {reason}", cause=problem) from problem
    else:
        return reserved
    finally:
        closing.close()  # not an effect: a cancelled operation cannot yield one


def _key_of(opened: Opened, key: str) -> str:
    """Return the key of the reservation, which is another one for other content."""
    return f"upload-{hashlib.sha256(f'{key} {digest(opened)}'.encode()).hexdigest()}"


def _put(
    session: Session,
    reserved: Upload,
    opened: Opened,
    on_progress: Callable[[TransferProgress], object] | None,
    *,
    last: bool,
) -> Operation[bool]:
    """Send the bytes; False if the permission has expired and a new one can be requested."""
    direct = reserved.direct or DirectUpload(
        url=reserved.upload_url, headers=reserved.upload_headers
    )
    headers = dict(direct.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type_of(opened.name)

    def on_sent(done: int) -> object:
        progress = TransferProgress(name=opened.name, bytes_done=done, bytes_total=opened.length)
        return on_progress(progress) if on_progress else None

    request = Request(
        method=direct.method,
        url=direct.url,
        headers=headers,
        body=Body(opened.length, opened.chunks, on_sent),
        timeouts=session.timeouts,
        deadline=session.deadline,
    )
    retries = 0
    while True:
        error: AiStemSplitterError
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        else:
            logger.info("upload of %s: %s", opened.name, reply.status)
            if reply.status < 300 or (retries and reply.status in ALREADY_THERE):
                return True
            if reply.status in EXPIRED and not last:
                return False
            error = error_of_reply(reply.status, reply.headers, reply.body, request)
        pause = session.pause(retries, error.retry_after)
        exhausted = retries >= session.max_retries
        if exhausted or session.out_of_time(pause) or not worth_a_retry(error):
            late = isinstance(error, DeadlineExceeded) and session.out_of_time()
            raise (DeadlineExceeded if late else UploadFailed)(
                f"{opened.name} was not uploaded: {error.message}",
                status=error.status,
                request_id=error.request_id,
                retry_after=error.retry_after,
                response=error.response,
            ) from error
        yield Sleep(pause)
        retries += 1
