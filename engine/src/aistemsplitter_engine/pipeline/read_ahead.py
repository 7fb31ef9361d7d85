"""Reading ahead: a generator that runs in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from queue import Queue
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Generator[Item], depth: int = 8) -> Generator[Item]:
    """Yield ``items`` while a thread already computes the next ``depth`` of them.

    An exception of ``items`` is raised in its place in the sequence. Closing this generator closes
    ``items`` and ends the thread.
    """
    queue: Queue[Item | BaseException | None] = Queue(depth)
    closed = threading.Event()

    def fill() -> None:
        end: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    queue.put(item)
                    if closed.is_set():
                        return
        except BaseException as error:  # raised in the reader's thread
            end = error
        queue.put(end)

    thread = threading.Thread(target=fill, name="read ahead", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while thread.is_alive():  # it may be waiting for room
            while not queue.empty():
                queue.get_nowait()
            thread.join(0.01)
