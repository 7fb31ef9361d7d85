"""Waiting for a split: by its progress stream where the server has one, else by asking again.

Neither a broken stream, nor a broken line, nor a server that restarts ends the wait; only the
split's end, the deadline, or an answer that waiting cannot change does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from aistemsplitter._core import Session, call, logger, worth_a_retry
from aistemsplitter._decode import decode
from aistemsplitter._effects import (
    Close,
    Failure,
    Operation,
    Request,
    Sleep,
    Stream,
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
from aistemsplitter._models import Split
from aistemsplitter._paths import split_path
from aistemsplitter._sse import EventParser

FIRST_INTERVAL = 1.0  # seconds between two questions, then by half more up to the longest
LONGEST_INTERVAL = 10.0
STREAM_TRIES = 5  # streams in a row that told nothing; after them the wait only asks

Watcher: TypeAlias = Callable[[Split], object]


def wait_for_split(
    session: Session, split_id: str, *, timeout: float | None, on_progress: Watcher | None
) -> Operation[Split]:
    """The split once it succeeded.

    Raises:
        SplitFailed: it ended as failed.
        WaitTimeout: the time is up; the job goes on.
    """
    if timeout is not None and not timeout > 0:
        raise InputError("timeout= is in seconds, more than 0; None waits without end")
    deadline = None if timeout is None else session.clock() + timeout
    watch = _Watch(session, split_id, deadline, on_progress)
    interval, error, told_of_end = FIRST_INTERVAL, None, False
    while True:
        try:
            answer = yield from call(session.until(deadline), "GET", split_path(split_id))
        except AiStemSplitterError as problem:
            if not worth_a_retry(problem):
                raise
            error = problem
            logger.debug("wait for %s: %s", split_id, problem.code)
        else:
            split, error = decode(Split, answer), None
            watch.tell(split)
            raise_if_failed(split)
            if split.succeeded:
                return split
            # The stream tells of the end, the split itself has the stems: ask at once. A server
            # that then knows of no end yet is asked no faster than any other.
            told_of_end = not told_of_end and (yield from watch.follow())
            if told_of_end:
                interval = FIRST_INTERVAL
                continue
        pause = max(interval, (error and error.retry_after) or 0.0)
        left = pause if deadline is None else deadline - session.clock()
        if left <= 0:
            break
        yield Sleep(min(pause, left))
        interval = min(interval * 1.5, LONGEST_INTERVAL)
        if deadline is not None and session.clock() >= deadline:
            break
    raise WaitTimeout(
        f"{split_id} was not done within {timeout:g} s. It goes on: pick it up again with"
        f' wait_for_split("{split_id}"){f"; last trouble: {error.message}" if error else ""}',
        split_id=split_id,
    )


def raise_if_failed(split: Split) -> None:
    """Raise SplitFailed for a split that failed."""
    if split.failed:
        told = split.error
        message = (told and told.message) or "the service does not say why"
        raise SplitFailed(
            f"{split.id} failed: {message}", split=split, code=told.code if told else None
        )


class _Watch:
    """The progress stream of one split, opened again where it breaks."""

    def __init__(
        self, session: Session, split_id: str, deadline: float | None, tell: Watcher | None
    ) -> None:
        self._session = session
        self._split_id = split_id
        self._deadline = deadline
        self._on_progress = tell
        self._told: Split | None = None
        self._silent = 0
        self._parser = EventParser()

    def tell(self, split: Split) -> None:
        """Show the split to the caller, unless it is as it was."""
        if self._on_progress and split != self._told:
            self._on_progress(split)
        self._told = split

    def follow(self) -> Operation[bool]:
        """Follow the stream to its end; whether it told of the split's end."""
        if self._silent >= STREAM_TRIES:
            return False
        self._silent += 1
        last_id, self._parser = self._parser.last_id, EventParser()
        self._parser.last_id = last_id
        try:
            stream = yield from open_stream(self._request(last_id))
            kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
            if stream.status == 200 and kind == "text/event-stream":
                return (yield from self._read(stream))
            yield Close(stream)
            if stream.status < 500 and stream.status != 429:
                self._silent = STREAM_TRIES  # this server has none
        except (Failure, UnexpectedResponse) as problem:
            logger.debug("progress of %s: %s", self._split_id, problem)
        return False

    def _read(self, stream: Stream) -> Operation[bool]:
        while piece := (yield from read(stream)):
            for event in self._parser.feed(piece):
                split = _split_in(event.data, self._split_id)
                if split is None:
                    continue
                self._silent = 0
                if split.done:
                    yield Close(stream)
                    return True
                self.tell(split)
        return False

    def _request(self, last_id: str) -> Request:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if last_id and last_id.isascii() and last_id.isprintable():
            headers["Last-Event-ID"] = last_id
        return Request(
            method="GET",
            url=self._session.base_url + split_path(self._split_id) + "/events",
            headers=headers,
            authorized=True,
            timeouts=self._session.timeouts,
            deadline=self._deadline,
        )


def _split_in(data: str, split_id: str) -> Split | None:
    """The split in an event's data, None if it holds something else."""
    try:
        told = json.loads(data)
        split = decode(Split, {"id": split_id, **told} if isinstance(told, dict) else told)
    except (ValueError, RecursionError, UnexpectedResponse):
        return None
    return split if split.id == split_id else None
