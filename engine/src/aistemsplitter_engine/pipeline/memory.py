"""Audio that is held in memory, within a budget that all songs of the process share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.resources import free_memory

FRAME_BYTES = 8  # two float32
SHARE = 0.25  # of the free memory
_ASSUMED = 1 << 30  # bytes that are free where the system does not say it


class Budget:
    """One holder's part of the memory budget."""

    _lock = threading.RLock()  # the garbage collector may close a generator that releases one
    _taken = 0  # by all budgets

    def __init__(self) -> None:
        free = free_memory()
        self._most = SHARE * ((_ASSUMED if free is None else free) + Budget._taken)
        self._size = 0

    def take(self, size: int) -> bool:
        """Take bytes if the budget allows it; return whether it does."""
        with Budget._lock:
            fits = Budget._taken + size <= self._most
            if fits:
                Budget._taken += size
                self._size += size
            return fits

    def release(self, size: int | None = None) -> None:
        """Return bytes to the budget, by default all."""
        with Budget._lock:
            size = self._size if size is None else size
            Budget._taken -= size
            self._size -= size


class HeldBlocks:
    """Blocks of a song that are held from its first pass to its second.

    All are dropped as soon as they exceed ``most`` bytes or the budget.
    """

    def __init__(self, most: int) -> None:
        self._budget = Budget()
        self._left = most
        self._blocks: deque[FloatArray] = deque()
        self.complete = True  # all blocks so far are held

    def hold(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Yield the blocks and hold them."""
        for block in blocks:
            self._left -= block.nbytes
            if self.complete:
                if self._left >= 0 and self._budget.take(block.nbytes):
                    self._blocks.append(block)
                else:
                    self.drop()
            yield block

    def take(self) -> Iterator[FloatArray]:
        """Yield the held blocks, once, and release each."""
        self.complete = False
        while self._blocks:
            block = self._blocks.popleft()
            self._budget.release(block.nbytes)
            yield block

    def drop(self) -> None:
        """Drop the blocks that are still held."""
        self.complete = False
        self._blocks.clear()
        self._budget.release()
