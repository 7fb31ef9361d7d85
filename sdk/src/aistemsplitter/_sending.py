"""Requests that send the bytes of an upload, with retries."""

from __future__ import annotations

from collections.abc import Collection

from aistemsplitter._core import Session, worth_a_retry
from aistemsplitter._effects import Failure, Operation, Reply, Request, Sleep, send
from aistemsplitter._errors import AiStemSplitterError, DeadlineExceeded, UploadFailed
from aistemsplitter._failures import error_from_failure, error_from_reply
from aistemsplitter._logs import logger

EXPIRED = (401, 403, 410)
ALREADY_STORED = 409  # the URL was used before, by an attempt whose response was lost
NOT_NEW = 412  # the same, of a storage that was sent ``If-None-Match: *``


def send_with_retries(
    session: Session,
    request: Request,
    name: str,
    *,
    expired: Collection[int] = EXPIRED,
    settled: Collection[int] = (ALREADY_STORED,),
) -> Operation[Reply | None]:
    """Send a request to a presigned URL and return the reply; None if the URL has expired.

    Args:
        name: Name of the file, for messages.
        expired: Statuses that mean that the URL has expired.
        settled: Statuses that mean, on a retry, that an earlier attempt succeeded.

    Raises:
        UploadFailed: All attempts failed.
        DeadlineExceeded: The session's deadline has passed.
    """
    retries = 0
    while True:
        error: AiStemSplitterError
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_from_failure(failure, request)
        else:
            logger.info("upload of %s: %s", name, reply.status)
            if reply.status < 300 or reply.status == NOT_NEW:
                return reply
            if retries and reply.status in settled:
                return reply
            if reply.status in expired:
                return None
            error = error_from_reply(reply, request)
        pause = session.pause(retries, error.retry_after)
        exhausted = retries >= session.max_retries
        if exhausted or session.out_of_time(pause) or not worth_a_retry(error):
            late = isinstance(error, DeadlineExceeded) and session.out_of_time()
            raise (DeadlineExceeded if late else UploadFailed)(
                f"{name} was not uploaded: {error.message}",
                status=error.status,
                request_id=error.request_id,
                retry_after=error.retry_after,
                response=error.response,
            ) from error
        yield Sleep(pause)
        retries += 1
