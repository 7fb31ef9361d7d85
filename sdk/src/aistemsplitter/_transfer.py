"""Requests for a stem's bytes: retries, fresh URLs for expired ones, and redirects.

What is done with a response is up to the receiver: it fills a partial file, or only reads what the
storage says about the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from aistemsplitter._core import (
    Session,
    error_of_failure,
    error_of_reply,
    logger,
    worth_a_retry,
)
from aistemsplitter._digests import Announced, announced
from aistemsplitter._effects import (
    Close,
    Failure,
    Listener,
    Operation,
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
from aistemsplitter._models import Split, TransferProgress
from aistemsplitter._operations import get_split
from aistemsplitter._part import Part

BATCH = 2**20  # bytes a write, each in a worker thread
SUCCESS = (200, 203, 206)  # 203: a proxy on the way has changed something; the checksum decides
EXPIRED = (401, 403, 404, 410)
UNSATISFIABLE = 416  # the file is shorter than what is already there
REDIRECTS = 5
RENEWALS = 3  # fresh URLs for one stem without a byte of it in between


class Receiver(Protocol):
    """Takes responses for one stem until it has what it needs."""

    @property
    def done(self) -> int:
        """Number of bytes received, by which progress is judged."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""
        ...

    def receive(self, stream: Stream) -> Operation[bool]:
        """Take a response; False if another request is needed."""
        ...

    def start_over(self) -> bool:
        """Drop what was received; True if an earlier run is to blame, not this one."""
        ...


def transfer(session: Session, split: Split, stem: str, receiver: Receiver) -> Operation[None]:
    """Send requests for a stem until the receiver has what it needs.

    Raises:
        DownloadFailed: All tries failed. IntegrityError: What arrived is damaged.
        DeadlineExceeded: The session's deadline has passed.
    """
    url, retries, renewals, furthest = split.stems[stem], 0, 0, 0
    while True:
        error = yield from _attempt(session, url, receiver)
        if error is None:
            return
        if receiver.done > furthest:  # more than ever: a file that starts over must end too
            retries, renewals, furthest = 0, 0, receiver.done
        pause = session.pause(retries, error.retry_after)
        renew = error.status in (*EXPIRED, UNSATISFIABLE)
        if isinstance(error, IntegrityError) or error.status == UNSATISFIABLE:
            if (yield from blocking(receiver.start_over)):
                continue
            renew = True  # a fresh URL may lead to a better copy
        if renew:
            # An expired URL is no failed try: it is renewed even with max_retries=0.
            is_try = isinstance(error, IntegrityError)
            pause = pause if renewals else 0.0
            renewals += 1
            again = renewals <= RENEWALS
        else:
            is_try, again = True, worth_a_retry(error)
        if is_try and retries >= session.max_retries:
            again = False
        if not again or session.out_of_time(pause):
            raise _final(stem, error, session) from error
        logger.info("download %s: %s at byte %d, next try", stem, error.code, receiver.done)
        yield Sleep(pause)
        retries += is_try
        if renew:
            fresh = yield from get_split(session, split.id)
            url = fresh.stems.get(stem, url)


def _attempt(
    session: Session, url: str, receiver: Receiver
) -> Operation[AiStemSplitterError | None]:
    """Send one request, and another where the receiver wants one; return what went wrong."""
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
                error = error_of_reply(stream.status, stream.headers, b"", request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        except (RedirectRefused, IntegrityError) as problem:
            error = problem
        if stream is not None:
            yield Close(stream)
        if error or complete:
            return error


def _follow(request: Request) -> Operation[Stream]:
    """Open a presigned URL, following redirects: it sends no credentials that could be lost."""
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
            raise RedirectRefused("the storage redirects from https to something else")
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
    """A receiver that brings the whole stem into a partial file and checks it."""

    stem: str
    part: Part
    listener: Listener[TransferProgress]

    @property
    def done(self) -> int:
        """Number of bytes in the file."""
        return self.part.written

    def headers(self) -> dict[str, str]:
        """Ask for the rest, if it is certain or can be checked that it belongs to the same file."""
        part = self.part
        if part.written and part.validator is not None:
            return {"Range": f"bytes={part.written}-", "If-Range": part.validator}
        return {"Range": f"bytes={part.written}-"} if part.inherited else {}

    def start_over(self) -> bool:
        """Empty the file; True if bytes of an earlier run were in it."""
        inherited = self.part.inherited
        self.part.start_over()
        return inherited

    def receive(self, stream: Stream) -> Operation[bool]:
        """Append the response to the file and, at its end, check the whole."""
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
            if size:  # what arrived before the connection failed need not be sent again
                yield from blocking(partial(part.append, b"".join(batch)))
            raise
        if size:
            yield from self._append(batch)
        if part.total is not None and part.written != part.total:
            raise IntegrityError(f"{part.written} bytes came of {part.total}")
        if not part.intact:
            algorithm = part.announced and part.announced.algorithm
            raise IntegrityError(f"the {algorithm} checksum is not the announced one")
        return True

    def _append(self, batch: list[bytes]) -> Operation[None]:
        part = self.part
        yield from blocking(partial(part.append, b"".join(batch)))
        if part.total is not None and part.written > part.total:
            raise IntegrityError(f"more bytes came than the {part.total} announced")
        progress = TransferProgress(name=self.stem, bytes_done=part.written, bytes_total=part.total)
        yield from notify(self.listener, progress)


def _prepare(stream: Stream, part: Part) -> bool:
    """Read the head of a response: continue the file, or start over if the whole is sent again.

    False if a file of an earlier run cannot be continued, and was emptied: without a checksum of
    the whole nothing would prove that both halves belong together.
    """
    headers = stream.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise IntegrityError("the stem came compressed, which was not asked for")
    if stream.status != 206:
        part.start_over()
        length = headers.get("content-length", "")
        part.total = int(length) if length.isascii() and length.isdigit() else None
        part.validator = _validator(headers)
        part.expect(announced(headers, whole=True))
        return True
    span = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", _span(headers))
    if not span or int(span[1]) != part.written:
        raise IntegrityError("another part of the file came than was asked for")
    total = None if span[3] == "*" else int(span[3])
    if None not in (total, part.total) and total != part.total:
        raise IntegrityError("the file's length changed while it was downloaded")
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
    """A receiver that only learns the stem's length and checksum.

    Attributes:
        total: Length in bytes, None if the storage does not say.
        digest: Checksum of the whole, None if the storage announces none.
    """

    total: int | None = None
    digest: Announced | None = None
    done: int = 0

    def headers(self) -> dict[str, str]:
        """Ask for one byte: a presigned URL is good for GET alone."""
        return {"Range": "bytes=0-0"}

    def start_over(self) -> bool:
        """Return False: there is nothing to drop."""
        return False

    def receive(self, stream: Stream) -> Operation[bool]:
        """Read the headers."""
        whole = stream.status != 206
        length = stream.headers.get("content-length", "") if whole else _span(stream.headers)
        found = re.search(r"(\d{1,18})$", length)
        self.total = int(found[1]) if found else None
        self.digest = announced(stream.headers, whole=whole)
        return True
        yield  # an operation is a generator, also one that has nothing to wait for
