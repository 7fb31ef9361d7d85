"""Reading ahead in a thread: the same items and errors, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from aistemsplitter_engine.pipeline.read_ahead import read_ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


class Counter:
    """Count up to ``count``, recording the number of items requested and whether it was closed."""

    def __init__(self, count: int = 10**9, error: BaseException | None = None) -> None:
        self.count, self.error = count, error
        self.made, self.closed = 0, False

    def items(self) -> Generator[int]:
        try:
            while self.made < self.count:
                self.made += 1
                yield self.made
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_all_items_in_order(count: int) -> None:
    counter = Counter(count)
    assert list(read_ahead(counter.items(), depth=3)) == list(range(1, count + 1))
    assert counter.closed
    assert threads() == []


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_an_error_comes_in_its_place(error: BaseException) -> None:
    items = read_ahead(Counter(5, error).items(), depth=2)
    assert [next(items) for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(type(error)):
        next(items)
    assert threads() == []


def test_it_reads_ahead_by_a_limited_number() -> None:
    counter = Counter()
    items = read_ahead(counter.items(), depth=4)
    assert counter.made == 0  # nothing before the first request
    assert next(items) == 1
    deadline = time.monotonic() + 60
    while counter.made < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)  # a seventh would be made now; its absence has no event to wait for
    assert counter.made == 6  # one taken, four in the queue, and one waiting to be queued
    items.close()
    assert counter.closed
    assert threads() == []


def test_closing_ends_the_thread_in_every_state() -> None:
    """Waiting for room in the queue, producing an item, or finished."""
    for count, taken in ((10**9, 1), (10**9, 50), (3, 1), (1, 1)):
        counter = Counter(count)
        items = read_ahead(counter.items(), depth=2)
        for _ in range(taken):
            next(items)
        items.close()
        assert counter.closed
        assert threads() == []
