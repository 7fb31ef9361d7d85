"""Waiting for a split, by its progress stream where the server has one and by polling otherwise.

The wait survives dropped streams, connection errors and server restarts. It ends when the split is
done, at the deadline, or with an error that a retry cannot fix.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from aistemsplitter._core import LONGEST_RETRY_AFTER, Session, call, check_id, worth_a_retry
from aistemsplitter._decode import decode
from aistemsplitter._effects import (
    Close,
    Failure,
    Listener,
    Operation,
    Request,
    Sleep,
    Stream,
    notify,
    open_stream,
    read,
)
from aistemsplitter._errors import (
    AiStemSplitterError,
    InputError,
    SplitFailed,
    UnexpectedResponse,
    WaitTimeout,
)
from aistemsplitter._logs import logger
from aistemsplitter._models import Split
from aistemsplitter._paths import id_of, split_path
from aistemsplitter._sse import EventParser
from aistemsplitter._types import SplitId

FIRST_INTERVAL = 1.0  # seconds between the first two polls; each interval is 1.5 times as long
LONGEST_INTERVAL = 10.0
STREAM_TRIES = 5  # consecutive streams without an event, after which the split is only polled
FIRST_BYTES = 3.0  # seconds; a stream that no proxy buffers begins at once
# Seconds without a byte after which the split is polled and the stream reopened. While nothing
# changes, the service sends a comment every 15 s.
QUIET = 20.0


def wait_for_split(
    session: Session,
    split: SplitId,
    *,
    timeout: float | None,
    on_progress: Callable[[Split], object] | None,
) -> Operation[Split]:
    """Wait until a split has succeeded and return it.

    Raises:
        SplitFailed: The split failed.
        WaitTimeout: The time limit was reached; the split continues.
    """
    if timeout is not None and not timeout > 0:
        raise InputError("timeout= must be more than 0 seconds, or None to wait without limit")
    split_id = id_of(split)
    session = session.within(timeout)
    watch = _Watch(session, split_id, on_progress)
    interval, error, stream_ended = FIRST_INTERVAL, None, False
    while True:
        try:
            answer = yield from call(session, "GET", split_path(split_id))
        except AiStemSplitterError as problem:
            if not worth_a_retry(problem):
                raise
            error = problem
            logger.debug("waiting for %s: %s", split_id, problem.code)
        else:
            split, error = check_id(decode(Split, answer), split_id), None
            yield from watch.report(split)
            raise_if_failed(split)
            if split.succeeded:
                return split
            # The stream reports the end, but only the split itself has the stems: poll at once.
            # If the poll does not show the end yet, the intervals grow as usual.
            said_done = False
            if not stream_ended:
                said_done = yield from watch.follow()
            stream_ended = said_done
            if (said_done or watch.was_quiet) and not session.out_of_time():
                interval = FIRST_INTERVAL
                continue
        pause = max(interval, min((error and error.retry_after) or 0.0, LONGEST_RETRY_AFTER))
        if session.out_of_time():
            break
        if session.deadline is not None:
            pause = min(pause, session.deadline - session.clock())
        yield Sleep(pause)
        interval = min(interval * 1.5, LONGEST_INTERVAL)
        if session.out_of_time():
            break
    last_error = f" (last error: {error.message})" if error else ""
    raise WaitTimeout(
        f"{split_id} was not done within {timeout:g} s{last_error}. It continues on the service:"
        f' wait again with wait_for_split("{split_id}")',
        split_id=split_id,
    )


def raise_if_failed(split: Split) -> None:
    """Raise SplitFailed if the split has failed."""
    if split.failed:
        reason = split.error
        message = (reason and reason.message) or "the service gave no reason"
        raise SplitFailed(
            f"{split.id} failed: {message}", split=split, code=reason.code if reason else None
        )


class _Watch:
    """The progress stream of one split, reopened when it drops.

    Attributes:
        was_quiet: True if the last stream was closed because it sent nothing for too long.
    """

    def __init__(
        self, session: Session, split_id: str, on_progress: Callable[[Split], object] | None
    ) -> None:
        self._session = session
        self._split_id = split_id
        self._listener = Listener(on_progress)
        self._reported: Split | None = None
        self._silent = 0
        self._parser = EventParser()
        self._begun = False
        self.was_quiet = False

    def report(self, split: Split) -> Operation[None]:
        """Pass the split to the caller's callback if it has changed."""
        changed, self._reported = split != self._reported, split
        if changed:
            yield from notify(self._listener, split)

    def follow(self) -> Operation[bool]:
        """Follow the stream until it ends or is quiet; return True if it reports the split done."""
        self.was_quiet = False
        if self._silent >= STREAM_TRIES:
            return False
        self._silent += 1
        last_id, self._parser = self._parser.last_id, EventParser()
        self._parser.last_id = last_id
        self._begun = False
        stream: Stream | None = None
        said_done = False
        try:
            stream = yield from open_stream(self._request(last_id), FIRST_BYTES)
            kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
            if stream.status in (200, 203) and kind == "text/event-stream":
                said_done = yield from self._read(stream)
            elif stream.status < 500 and stream.status != 429:
                self._silent = STREAM_TRIES  # this server has no progress stream
        except UnexpectedResponse as problem:
            logger.debug("progress stream of %s: %s", self._split_id, problem)
        except Failure as failure:
            self.was_quiet = failure.kind in ("timeout", "deadline")
            if self.was_quiet and self._begun:
                self._silent = 0  # the stream works; the split made no progress
            logger.debug("progress stream of %s: %s", self._split_id, failure)
        if stream is not None:
            yield Close(stream)
        return said_done

    def _read(self, stream: Stream) -> Operation[bool]:
        clock = self._session.clock
        quiet_at = clock() + FIRST_BYTES
        # A comment is proof enough that the stream works, and that the split has not changed.
        while piece := (yield from read(stream, max(0.0, quiet_at - clock()))):
            self._begun, quiet_at = True, clock() + QUIET
            for event in self._parser.feed(piece):
                split = _split_in(event.data, self._split_id)
                if split is None:
                    continue
                if split.done:
                    return True
                self._silent = 0
                yield from self.report(split)
        return False

    def _request(self, last_id: str) -> Request:
        headers = self._session.request_headers(
            {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        )
        if last_id and last_id.isascii() and last_id.isprintable():
            headers["Last-Event-ID"] = last_id
        return Request(
            method="GET",
            url=self._session.base_url + split_path(self._split_id) + "/events",
            headers=headers,
            key=self._session.key,
            timeouts=self._session.timeouts,
            deadline=self._session.deadline,
        )


def _split_in(data: str, split_id: str) -> Split | None:
    """Return the split in an event's data; None if the data is something else."""
    try:
        value = json.loads(data)
        split = decode(Split, {"id": split_id, **value} if isinstance(value, dict) else value)
    except (ValueError, RecursionError, UnexpectedResponse):
        return None
    return split if split.id == split_id else None
