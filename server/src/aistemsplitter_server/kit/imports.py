"""Faster imports at the start of a process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Import modules in the block without the garbage collector, and exempt them from it for good.

    Imports create hundreds of thousands of objects that all stay. Looking for garbage among them
    takes a fifth of the start, and again a part of every full collection afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
