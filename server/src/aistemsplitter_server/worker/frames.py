"""Overlapping windows of audio that comes in blocks, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Audio = NDArray[np.float32]


class Framer:
    """Cuts audio into windows, each around the frame ``hop * n``.

    Args:
        window: Frames of a window.
        hop: Frames between two windows.
        most: Windows at once.
    """

    def __init__(self, window: int, hop: int, most: int) -> None:
        self._window, self._hop, self._most = window, hop, most
        self._held = np.zeros(window // 2, np.float32)

    def add(self, block: Audio) -> Iterator[Audio]:
        """Yield the windows that a block completes, (windows, window).

        Args:
            block: Mono audio, (n,).
        """
        self._held = np.concatenate([self._held, block])
        while (left := self._held.size - self._window) >= 0:
            count = min(self._most, left // self._hop + 1)
            windows = sliding_window_view(self._held, self._window)[:: self._hop][:count]
            self._held = self._held[count * self._hop :]
            yield windows
