"""Several songs at once: one is decoded and one encoded while another is separated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aistemsplitter_engine.errors import Cancelled

if TYPE_CHECKING:
    from aistemsplitter_engine.pipeline.write import SplitResult

SongProgress = Callable[[int, float], None]
_POLL_SECONDS = 0.1


class SplitSong(Protocol):
    """Splits one song; see :meth:`Separator.split` for the arguments and errors."""

    def __call__(
        self, *, on_progress: Callable[[float], None], cancel: threading.Event
    ) -> SplitResult: ...


@dataclass(frozen=True, slots=True)
class SongOutcome:
    """The outcome of one of several songs.

    Attributes:
        number: Number of the song in the order in which the songs were given, from 0.
        result: Its stems, or None if it failed.
        error: The error that it failed with, or None.
    """

    number: int
    result: SplitResult | None
    error: Exception | None


def split_songs(
    songs: Iterable[SplitSong],
    jobs: int,
    on_progress: SongProgress | None = None,
    cancel: threading.Event | None = None,
) -> Generator[SongOutcome]:
    """Split songs, ``jobs`` at a time; yield the outcome of each as soon as it ends.

    The next song is taken from ``songs`` when one has ended. An error of a song does not affect the
    others. Closing the generator, or an exception in the caller's thread such as Ctrl-C, stops the
    songs in progress, waits for them, and starts no more.

    Raises:
        Cancelled: ``cancel`` was set. Raised after all songs in progress have stopped.
    """
    stop = _Stop(cancel)
    cancelled: Exception | None = None
    waiting = enumerate(songs)
    running: dict[Future[SplitResult], _Report] = {}
    with ThreadPoolExecutor(jobs, "song") as pool:
        try:
            while True:
                while len(running) < jobs and not stop.is_set():
                    if (following := next(waiting, None)) is None:
                        break
                    number, split = following
                    report = _Report(number)
                    running[pool.submit(split, on_progress=report, cancel=stop)] = report
                if not running:
                    break
                done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
                for report in running.values():
                    report.pass_on(on_progress)
                for song in done:
                    outcome = _outcome(running.pop(song).number, song)
                    if isinstance(outcome.error, Cancelled):
                        cancelled = outcome.error
                    else:
                        yield outcome
        finally:
            stop.set()
    if cancelled is not None:
        raise cancelled
    if cancel is not None and cancel.is_set() and next(waiting, None) is not None:
        raise Cancelled("stopped on request")


def _outcome(number: int, song: Future[SplitResult]) -> SongOutcome:
    try:
        return SongOutcome(number, song.result(), None)
    except Exception as error:
        return SongOutcome(number, None, error)


class _Report:
    """A song's progress, on its way from the song's thread to the caller's."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._fraction = 0.0
        self._reports = self._passed_on = 0

    def __call__(self, fraction: float) -> None:
        self._fraction = fraction
        self._reports += 1

    def pass_on(self, on_progress: SongProgress | None) -> None:
        """Call the caller's listener if there was a report since the last call."""
        reports = self._reports
        if on_progress is not None and reports > self._passed_on:
            self._passed_on = reports
            on_progress(self.number, self._fraction)


class _Stop(threading.Event):
    """An event that is also set when another one is."""

    def __init__(self, other: threading.Event | None) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or (self._other is not None and self._other.is_set())
