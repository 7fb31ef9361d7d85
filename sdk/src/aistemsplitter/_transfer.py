"""Requests for a stem's bytes: retries, renewal of expired URLs, and redirects.

A receiver handles the responses: one writes a partial file, another only reads length and checksum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from aistemsplitter._core import Session, worth_a_retry
from aistemsplitter._digests import Announced, announced
from aistemsplitter._effects import (
    Close,
    Failure,
    Listener,
    Operation,
    Reply,
    Request,
    Sleep,
    Stream,
    blocking,
    notify,
    open_stream,
    read,
)
from aistemsplitter._errors import (
    AiStemSplitterError,
    DeadlineExceeded,
    DownloadFailed,
    IntegrityError,
    RedirectRefused,
)
from aistemsplitter._failures import error_from_failure, error_from_reply
from aistemsplitter._logs import logger
from aistemsplitter._models import Split, TransferProgress
from aistemsplitter._operations import get_split
from aistemsplitter._part import Part

BATCH = 2**20  # bytes per write; each write uses a worker thread
SUCCESS = (200, 203, 206)  # 203: modified by a proxy; the checksum decides
EXPIRED = (401, 403, 404, 410)
UNSATISFIABLE = 416  # the stored file is shorter than the partial file
REDIRECTS = 5
RENEWALS = 3  # consecutive URL renewals for one stem without any progress


class Receiver(Protocol):
    """Handler of the responses for one stem."""

    @property
    def done(self) -> int:
        """Number of bytes received; progress resets the retry count."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""
        ...

    def receive(self, stream: Stream) -> Operation[bool]:
        """Handle a response; return False if another request is needed."""
        ...

    def start_over(self) -> bool:
        """Discard the received bytes; return True if some were left by an earlier run."""
        ...


def transfer(session: Session, split: Split, stem: str, receiver: Receiver) -> Operation[None]:
    """Send requests for a stem until the receiver is done.

    Raises:
        DownloadFailed: All attempts failed. IntegrityError: The received bytes are damaged.
        DeadlineExceeded: The session's deadline has passed.
    """
    url, retries, renewals, furthest = split.stems[stem], 0, 0, 0
    while True:
        error = yield from _attempt(session, url, receiver)
        if error is None:
            return
        if receiver.done > furthest:  # a file that starts over again and again is no progress
            retries, renewals, furthest = 0, 0, receiver.done
        pause = session.pause(retries, error.retry_after)
        renew = error.status in (*EXPIRED, UNSATISFIABLE)
        if isinstance(error, IntegrityError) or error.status == UNSATISFIABLE:
            if (yield from blocking(receiver.start_over)):
                continue
            renew = True  # a fresh URL may lead to an intact copy
        if renew:
            # The renewal of an expired URL is not a retry: it works even with max_retries=0.
            is_retry = isinstance(error, IntegrityError)
            pause = pause if renewals else 0.0
            renewals += 1
            try_again = renewals <= RENEWALS
        else:
            is_retry, try_again = True, worth_a_retry(error)
        if is_retry and retries >= session.max_retries:
            try_again = False
        if not try_again or session.out_of_time(pause):
            raise _final(stem, error, session) from error
        logger.info("download of %s: %s at byte %d, retrying", stem, error.code, receiver.done)
        yield Sleep(pause)
        retries += is_retry
        if renew:
            fresh = yield from get_split(session, split.id)
            url = fresh.stems.get(stem, url)


def _attempt(
    session: Session, url: str, receiver: Receiver
) -> Operation[AiStemSplitterError | None]:
    """Send requests until the receiver is done; return the first error, None without one."""
    while True:
        stream: Stream | None = None
        error: AiStemSplitterError | None = None
        complete = False
        request = Request(
            method="GET",
            url=url,
            headers={"Accept-Encoding": "identity", **receiver.headers()},
            timeouts=session.timeouts,
            deadline=session.deadline,
        )
        try:
            stream = yield from _follow(request)
            if stream.status in SUCCESS:
                complete = yield from receiver.receive(stream)
            else:
                error = error_from_reply(Reply(stream.status, stream.headers), request)
        except Failure as failure:
            error = error_from_failure(failure, request)
        except (RedirectRefused, IntegrityError) as problem:
            error = problem
        if stream is not None:
            yield Close(stream)
        if error or complete:
            return error


def _follow(request: Request) -> Operation[Stream]:
    """Open a presigned URL and follow redirects, which is safe because no credentials are sent."""
    url = request.url
    for _ in range(REDIRECTS + 1):
        stream = yield from open_stream(
            Request(
                method="GET",
                url=url,
                headers=request.headers,
                timeouts=request.timeouts,
                deadline=request.deadline,
            )
        )
        if stream.status not in (301, 302, 303, 307, 308):
            return stream
        yield Close(stream)
        before, url = url, urljoin(url, stream.headers.get("location", ""))
        if urlsplit(before).scheme == "https" and urlsplit(url).scheme != "https":
            raise RedirectRefused("the storage redirects from https to an insecure URL")
    raise RedirectRefused(f"the storage redirects more than {REDIRECTS} times")


def _final(stem: str, error: AiStemSplitterError, session: Session) -> AiStemSplitterError:
    kind: type[AiStemSplitterError] = DownloadFailed
    if isinstance(error, IntegrityError):
        kind = IntegrityError
    elif isinstance(error, DeadlineExceeded) and session.out_of_time():
        kind = DeadlineExceeded
    return kind(
        f"{stem} could not be downloaded: {error.message}",
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
        response=error.response,
    )


@dataclass(slots=True)
class Filling:
    """Receiver that writes the whole stem to a partial file and verifies it."""

    stem: str
    part: Part
    listener: Listener[TransferProgress]

    @property
    def done(self) -> int:
        """Number of bytes in the file."""
        return self.part.written

    def headers(self) -> dict[str, str]:
        """Return the Range header that resumes the file, where the result can be verified."""
        part = self.part
        if part.written and part.validator is not None:
            return {"Range": f"bytes={part.written}-", "If-Range": part.validator}
        return {"Range": f"bytes={part.written}-"} if part.inherited else {}

    def start_over(self) -> bool:
        """Empty the file; return True if it contained bytes of an earlier run."""
        inherited = self.part.inherited
        self.part.start_over()
        return inherited

    def receive(self, stream: Stream) -> Operation[bool]:
        """Append the response to the file and verify the whole file at the end."""
        part = self.part
        if not (yield from blocking(partial(_prepare, stream, part))):
            return False
        batch: list[bytes] = []
        size = 0
        try:
            while chunk := (yield from read(stream)):
                batch.append(chunk)
                size += len(chunk)
                if size >= BATCH:
                    yield from self._append(batch)
                    batch, size = [], 0
        except Failure:
            if size:  # keep what arrived before the failure, so that it is not sent again
                yield from blocking(partial(part.append, b"".join(batch)))
            raise
        if size:
            yield from self._append(batch)
        if part.total is not None and part.written != part.total:
            raise IntegrityError(f"received {part.written} of {part.total} bytes")
        if not part.intact:
            algorithm = part.announced and part.announced.algorithm
            raise IntegrityError(f"the {algorithm} checksum differs from the announced one")
        return True

    def _append(self, batch: list[bytes]) -> Operation[None]:
        part = self.part
        yield from blocking(partial(part.append, b"".join(batch)))
        if part.total is not None and part.written > part.total:
            raise IntegrityError(f"received more than the announced {part.total} bytes")
        progress = TransferProgress(name=self.stem, bytes_done=part.written, bytes_total=part.total)
        yield from notify(self.listener, progress)


def _prepare(stream: Stream, part: Part) -> bool:
    """Prepare the file for the response's bytes: resume it, or empty it if the whole is sent again.

    Return False if a file of an earlier run cannot be resumed and was emptied: without a checksum
    of the whole file, nothing proves that the two halves belong together.
    """
    headers = stream.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise IntegrityError("the storage sent compressed data, which was not requested")
    if stream.status != 206:
        part.start_over()
        length = headers.get("content-length", "")
        part.total = int(length) if length.isascii() and length.isdigit() else None
        part.validator = _validator(headers)
        part.expect(announced(headers, whole=True))
        return True
    span = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", _span(headers))
    if not span or int(span[1]) != part.written:
        raise IntegrityError("the storage sent another part of the file than requested")
    total = None if span[3] == "*" else int(span[3])
    if None not in (total, part.total) and total != part.total:
        raise IntegrityError("the file's length changed during the download")
    part.total = part.total if total is None else total
    if part.inherited and part.announced is None:
        digest = announced(headers, whole=False)
        if digest is None:
            part.start_over()
            return False
        part.expect(digest)
        part.validator = _validator(headers)
    return True


def _validator(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified")


def _span(headers: Mapping[str, str]) -> str:
    return headers.get("content-range", "").strip()


@dataclass(slots=True)
class Probe:
    """Receiver that reads only the stem's length and checksum, from the response headers.

    Attributes:
        total: Length in bytes; None if the storage does not announce it.
        digest: Checksum of the whole file; None if the storage announces none.
    """

    total: int | None = None
    digest: Announced | None = None
    done: int = 0

    def headers(self) -> dict[str, str]:
        """Return the headers that request one byte, because a presigned URL allows only GET."""
        return {"Range": "bytes=0-0"}

    def start_over(self) -> bool:
        """Return False, because there is nothing to discard."""
        return False

    def receive(self, stream: Stream) -> Operation[bool]:
        """Read length and checksum from the headers."""
        whole = stream.status != 206
        length = stream.headers.get("content-length", "") if whole else _span(stream.headers)
        found = re.search(r"(\d{1,18})$", length)
        self.total = int(found[1]) if found else None
        self.digest = announced(stream.headers, whole=whole)
        return True
        yield  # makes this a generator, as every operation is
