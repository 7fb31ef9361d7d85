"""Several songs at once: outcomes, errors, progress and stopping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aistemsplitter_engine.errors import AudioError, Cancelled
from aistemsplitter_engine.pipeline.songs import SplitSong, split_songs

PATIENCE = 30  # seconds, on a busy machine


def returning(value: object) -> Any:
    """Return a song that is split at once; its result is only passed on."""
    return lambda **_: value


def failing(error: Exception) -> Any:
    def split(**_: object) -> None:
        raise error

    return split


def waiting_for_stop(started: threading.Event) -> Any:
    """Return a song that is in progress until it is cancelled."""

    def split(*, cancel: threading.Event, **_: object) -> None:
        started.set()
        for _ in range(PATIENCE * 100):
            # Not cancel.wait(): it would not notice the caller's event, only is_set() does.
            if cancel.is_set():
                raise Cancelled("a song: stopped on request")
            threading.Event().wait(0.01)

    return split


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("song")]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_an_error_does_not_affect_other_songs(jobs: int) -> None:
    error, bug = AudioError("b.mp3: is damaged"), MemoryError("no memory")
    songs = [returning("a"), failing(error), returning("c"), failing(bug)]
    outcomes = sorted(split_songs(songs, jobs), key=lambda outcome: outcome.number)
    assert [outcome.number for outcome in outcomes] == [0, 1, 2, 3]
    assert [outcome.result for outcome in outcomes] == ["a", None, "c", None]
    assert [outcome.error for outcome in outcomes] == [None, error, None, bug]
    assert threads() == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_only_so_many_songs_are_in_progress(jobs: int) -> None:
    all_there = threading.Barrier(jobs)
    lock, running, most = threading.Lock(), 0, 0

    def split(**_: object) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_there.wait(PATIENCE)
        with lock:
            running -= 1

    songs: list[Any] = [split] * (3 * jobs)
    assert len([*split_songs(songs, jobs)]) == 3 * jobs
    assert most == jobs


def test_songs_are_taken_as_others_end() -> None:
    taken: list[int] = []

    def songs() -> Iterator[SplitSong]:
        for number in range(5):
            taken.append(number)
            yield returning(number)

    outcomes = split_songs(songs(), 1)
    assert taken == []
    next(outcomes)
    assert taken == [0]
    assert [outcome.number for outcome in outcomes] == [1, 2, 3, 4]


def test_progress_is_reported_in_the_callers_thread() -> None:
    reported = {0: threading.Event(), 1: threading.Event()}
    heard: list[tuple[int, float]] = []

    def song(number: int) -> Any:
        def split(*, on_progress: Callable[[float], None], **_: object) -> None:
            on_progress(0.25 * (number + 1))
            assert reported[number].wait(PATIENCE)

        return split

    def listen(number: int, fraction: float) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.append((number, fraction))
        reported[number].set()

    outcomes = [*split_songs([song(0), song(1)], 2, listen)]
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert sorted(heard) == [(0, 0.25), (1, 0.5)]


def test_cancelling_stops_all_songs_and_starts_no_more() -> None:
    cancel, started = threading.Event(), [threading.Event() for _ in range(3)]
    songs = [waiting_for_stop(event) for event in started]

    def listen() -> None:
        assert started[0].wait(PATIENCE)
        assert started[1].wait(PATIENCE)
        cancel.set()

    thread = threading.Thread(target=listen)
    thread.start()
    with pytest.raises(Cancelled):
        list(split_songs(songs, 2, cancel=cancel))
    thread.join()
    assert not started[2].is_set()
    assert threads() == []


def test_cancelling_between_two_songs() -> None:
    cancel = threading.Event()
    outcomes = split_songs([returning(0), returning(1)], 1, cancel=cancel)
    next(outcomes)
    cancel.set()
    with pytest.raises(Cancelled):
        next(outcomes)


def test_a_stop_after_the_last_song_is_too_late() -> None:
    cancel = threading.Event()
    outcomes = split_songs([returning(0)], 1, cancel=cancel)
    next(outcomes)
    cancel.set()
    assert [*outcomes] == []


@pytest.mark.parametrize("how", ["close", "Ctrl-C"])
def test_leaving_stops_all_songs(how: str) -> None:
    started = threading.Event()

    def listen(*_: object) -> None:
        raise KeyboardInterrupt

    def report(*, on_progress: Callable[[float], None], **more: Any) -> None:
        on_progress(0.5)
        waiting_for_stop(started)(**more)

    split: Any = report if how == "Ctrl-C" else waiting_for_stop(started)
    outcomes = split_songs([returning(SimpleNamespace()), split], 2, listen)
    if how == "close":
        next(outcomes)
        assert started.wait(PATIENCE)
        outcomes.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            list(outcomes)
    assert threads() == []
