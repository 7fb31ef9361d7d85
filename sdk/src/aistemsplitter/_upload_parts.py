"""Uploads of large files in parts, straight to the storage.

The service knows which parts have arrived and returns presigned URLs for the next ones. So an
upload that was interrupted, in this process or another, continues with the parts that are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from aistemsplitter._core import Session, data_of
from aistemsplitter._decode import decode
from aistemsplitter._effects import Body, Operation, Request
from aistemsplitter._errors import UnexpectedResponse, UploadFailed
from aistemsplitter._sending import EXPIRED, send_with_retries
from aistemsplitter._source import Opened

STALLED = 3  # rounds in a row in which no part arrives
GONE = 404  # there is no such upload; for a part, the storage has started another one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Presigned PUT of one part."""

    start: int
    length: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    """Parts that have not arrived: the next ones, and the bytes of all."""

    uploaded: bool
    missing_bytes: int
    parts: tuple[_Part, ...] = ()


def send_parts(
    session: Session,
    parts_url: str,
    opened: Opened,
    on_sent: Callable[[int], object],
    *,
    last: bool,
) -> Operation[bool]:
    """Send the missing parts of a file; return False if the upload has expired.

    Args:
        parts_url: Presigned URL that returns the missing parts.
        on_sent: Callback that receives the number of bytes that have arrived.
        last: Raise an error instead of returning False.

    Raises:
        UploadFailed: The storage did not accept a part.
    """
    fewest, stalled = opened.length + 1, 0
    while True:
        missing = yield from _ask(session, parts_url, opened, last=last)
        if missing is None or missing.uploaded:
            return missing is not None
        stalled = stalled + 1 if missing.missing_bytes >= fewest else 0
        fewest = min(fewest, missing.missing_bytes)
        if stalled >= STALLED or not missing.parts:
            raise UploadFailed(f"{opened.name} was not uploaded: the storage does not keep it")
        done = opened.length - missing.missing_bytes
        for part in missing.parts:
            if not (yield from _send(session, part, opened, partial(_count, on_sent, done))):
                break  # the URLs have expired
            done += part.length


def _count(on_sent: Callable[[int], object], before: int, sent: int) -> object:
    return on_sent(before + sent)


def _ask(
    session: Session, parts_url: str, opened: Opened, *, last: bool
) -> Operation[_Missing | None]:
    """Return the missing parts; None if the upload has expired."""
    request = Request(
        method="POST", url=parts_url, timeouts=session.timeouts, deadline=session.deadline
    )
    expired = () if last else (*EXPIRED, GONE)
    reply = yield from send_with_retries(session, request, opened.name, expired=expired, settled=())
    return None if reply is None else decode(_Missing, data_of(reply))


def _send(
    session: Session, part: _Part, opened: Opened, on_sent: Callable[[int], object]
) -> Operation[bool]:
    """Send a part; return False if its URL has expired."""
    end = part.start + part.length
    if not 0 <= part.start < end <= opened.length:
        raise UnexpectedResponse("the service asked for a part that is outside the file")
    request = Request(
        method="PUT",
        url=part.url,
        body=Body(part.length, partial(opened.chunks, part.start, end), on_sent),
        timeouts=session.timeouts,
        deadline=session.deadline,
    )
    reply = yield from send_with_retries(
        session, request, opened.name, expired=(*EXPIRED, GONE), settled=()
    )
    return reply is not None
