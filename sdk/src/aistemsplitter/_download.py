"""Downloading stems: each to a temporary name, resumed where it broke, checked, then renamed.

A cancelled operation cannot yield, so what cleans up is called directly: closing and unlinking
are quick.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit

from aistemsplitter._core import (
    Session,
    error_of_failure,
    error_of_reply,
    logger,
    worth_a_retry,
)
from aistemsplitter._digests import announced
from aistemsplitter._effects import (
    Close,
    Failure,
    Operation,
    Request,
    Sleep,
    Stream,
    blocking,
    gather,
    open_stream,
    read,
)
from aistemsplitter._errors import (
    AiStemSplitterError,
    DiskFull,
    DownloadFailed,
    FileError,
    InputError,
    IntegrityError,
    RedirectRefused,
)
from aistemsplitter._models import Split, TransferProgress
from aistemsplitter._names import file_names
from aistemsplitter._operations import get_split
from aistemsplitter._part import Part
from aistemsplitter._wait import raise_if_failed

BATCH = 2**20  # bytes a write, each in a worker thread
EXPIRED = (401, 403, 404, 410)
REDIRECTS = 5
RENEWALS = 3  # fresh URLs for one stem without a byte of it in between

Progress: TypeAlias = Callable[[TransferProgress], object]


def download_split(
    session: Session,
    split: str | Split,
    directory: str | os.PathLike[str],
    *,
    stems: Sequence[str] | None,
    overwrite: bool,
    parallel: int,
    timeout: float | None,
    on_progress: Progress | None,
) -> Operation[dict[str, Path]]:
    """Fetch the stems of a split that succeeded; where each lies, in the split's order."""
    if isinstance(stems, str):
        raise InputError('stems= is a list of names, such as ["vocals"]')
    if parallel < 1:
        raise InputError("parallel= is the number of downloads at once, 1 or more")
    deadline = None if timeout is None else session.clock() + timeout
    if isinstance(split, str):
        split = yield from get_split(session.until(deadline), split)
    raise_if_failed(split)
    if not split.succeeded:
        raise InputError(f"{split.id} is {split.status}: wait_for_split first")
    wanted = list(split.stems) if stems is None else list(dict.fromkeys(stems))
    if missing := [stem for stem in wanted if stem not in split.stems]:
        raise InputError(f"{split.id} has {', '.join(split.stems)}, not {', '.join(missing)}")
    folder = Path(directory)
    yield from blocking(partial(_make_folder, folder))
    names = file_names(split.stems, split.output_format)  # of all: so a name depends on no choice
    plan = _Plan(session, split, overwrite, deadline, _one_at_a_time(on_progress))
    paths = yield from gather(
        [_stem(plan, stem, folder / names[stem]) for stem in wanted], parallel
    )
    return dict(zip(wanted, paths, strict=True))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the downloads of one call share."""

    session: Session
    split: Split
    overwrite: bool
    deadline: float | None
    on_progress: Progress


def _one_at_a_time(on_progress: Progress | None) -> Progress:
    """The callback, never called by two threads at once."""
    turn = threading.Lock()

    def tell(progress: TransferProgress) -> None:
        if on_progress:
            with turn:
                on_progress(progress)

    return tell


def _stem(plan: _Plan, stem: str, target: Path) -> Operation[Path]:
    if not plan.overwrite and (yield from blocking(partial(os.path.lexists, target))):
        logger.debug("download %s: %s is there", stem, target.name)
        return target
    part = Part(target.with_name(f".{uuid.uuid4().hex}.part"))
    try:
        yield from blocking(part.open)
        yield from _fill(plan, stem, part)
        yield from blocking(partial(_finish, part, target, plan.overwrite))
        return target
    except OSError as problem:
        if isinstance(problem, AiStemSplitterError):  # DeadlineExceeded is both
            raise
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = problem.strerror or str(problem)
    finally:
        part.discard()
    raise (DiskFull if full else FileError)(f"cannot write {target}: {reason}")


def _fill(plan: _Plan, stem: str, part: Part) -> Operation[None]:
    """Bring the whole file into the part, by as many requests as it takes."""
    session, split, deadline = plan.session, plan.split, plan.deadline
    url, retries, renewals, furthest = split.stems[stem], 0, 0, 0
    while True:
        error: AiStemSplitterError
        stream: Stream | None = None
        request = Request(
            method="GET",
            url=url,
            headers={"Accept-Encoding": "identity", **_range(part)},
            timeouts=session.timeouts,
            deadline=deadline,
        )
        try:
            stream = yield from _follow(request)
            if stream.status in (200, 206):
                yield from _receive(stem, stream, part, plan.on_progress)
                yield Close(stream)
                return
            error = error_of_reply(stream.status, stream.headers, b"", request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        except RedirectRefused as refused:
            error = refused
        except IntegrityError as problem:
            error = problem
            yield from blocking(part.start_over)
        if stream is not None:
            yield Close(stream)
        if part.written > furthest:  # than ever: a file that starts over must end too
            retries, renewals, furthest = 0, 0, part.written
        if isinstance(error, IntegrityError) or error.status in (*EXPIRED, 416):
            # Expired, or gone wrong in a way that a fresh URL may cure.
            again, renewals = renewals < RENEWALS, renewals + 1
            if error.status == 416:
                yield from blocking(part.start_over)
        else:
            again = worth_a_retry(error)
        pause = session.pause(retries, error.retry_after)
        late = deadline is not None and session.clock() + pause >= deadline
        if not again or late or retries >= session.max_retries:
            raise _final(stem, error)
        logger.debug("download %s: %s at byte %d, again", stem, error.code, part.written)
        yield Sleep(pause)
        retries += 1
        if renewals:
            fresh = yield from get_split(session.until(deadline), split.id)
            url = fresh.stems.get(stem, url)


def _receive(stem: str, stream: Stream, part: Part, on_progress: Progress) -> Operation[None]:
    """Append the answer to the part; at its end, the part is the whole file and checked."""
    yield from blocking(partial(_prepare, stream, part))
    batch: list[bytes] = []
    size = 0
    try:
        while True:
            chunk = yield from read(stream)
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH or (not chunk and size):
                yield from _append(part, batch)
                batch, size = [], 0
                if part.total is not None and part.written > part.total:
                    raise IntegrityError(f"more bytes came than the {part.total} announced")
                on_progress(
                    TransferProgress(name=stem, bytes_done=part.written, bytes_total=part.total)
                )
            if not chunk:
                break
    except Failure:
        if size:  # what came before the line broke need not come again
            yield from _append(part, batch)
        yield from blocking(part.settle)
        raise
    yield from blocking(part.settle)
    if part.total is not None and part.written != part.total:
        raise IntegrityError(f"{part.written} bytes came of {part.total}")
    if part.announced and part.hash.digest() != part.announced.digest:
        raise IntegrityError(f"the {part.announced.algorithm} checksum is not the announced one")


def _append(part: Part, batch: list[bytes]) -> Operation[None]:
    if part.busy:
        yield from blocking(part.catch_up)
    part.append(b"".join(batch))


def _prepare(stream: Stream, part: Part) -> None:
    """Take the head of an answer: continue, or start over where the whole comes again."""
    headers = stream.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise IntegrityError("the stem came compressed, which was not asked for")
    if stream.status == 206:
        span = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", _span(headers))
        if not span or int(span[1]) != part.written:
            raise IntegrityError("another part of the file came than was asked for")
        if span[3] != "*" and part.total is not None and int(span[3]) != part.total:
            raise IntegrityError("the file's length changed while it was fetched")
        part.total = part.total if span[3] == "*" else int(span[3])
        return
    part.start_over()
    length = headers.get("content-length", "")
    part.total = int(length) if length.isascii() and length.isdigit() else None
    tag = headers.get("etag", "")
    part.validator = tag if tag.startswith('"') else headers.get("last-modified")
    part.announced = announced(headers, whole=True)
    part.hash = part.announced.new() if part.announced else None


def _span(headers: Mapping[str, str]) -> str:
    return headers.get("content-range", "").strip()


def _range(part: Part) -> dict[str, str]:
    """The headers that ask for the rest; without a validator the rest may be of another file."""
    if not part.written or part.validator is None:
        return {}
    return {"Range": f"bytes={part.written}-", "If-Range": part.validator}


def _follow(request: Request) -> Operation[Stream]:
    """Open a presigned URL, also over redirects: it bears no credentials to lose."""
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


def _final(stem: str, error: AiStemSplitterError) -> AiStemSplitterError:
    kind = IntegrityError if isinstance(error, IntegrityError) else DownloadFailed
    return kind(
        f"{stem} could not be fetched: {error.message}",
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or str(problem)
    else:
        return
    raise FileError(f"cannot make the folder {folder}: {reason}")


def _finish(part: Part, target: Path, overwrite: bool) -> None:
    part.file.close()  # some file systems tell only now that they are full
    if overwrite or not os.path.lexists(target):
        part.path.replace(target)
