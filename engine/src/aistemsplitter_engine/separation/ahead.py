"""Reading ahead: a generator that works in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from queue import Queue
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Generator[Item], depth: int = 8) -> Generator[Item]:
    """Yield ``items`` while the next ``depth`` are already being made in a thread.

    What they raise is raised here, in its place. Closing this generator closes them and ends the
    thread.
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
        except BaseException as error:  # carried over to the reader
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
