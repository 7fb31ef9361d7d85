"""Work that a thread repeats while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(work: Callable[[], object], period: float, name: str) -> Iterator[None]:
    """Call a function in a thread, again and again, until the block ends.

    Args:
        work: Handles its errors itself: one that it raises ends the thread.
        period: Seconds before the first call and between two.
        name: Name of the thread.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(period):
            work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
