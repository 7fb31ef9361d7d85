"""The blocks of stems that a separator yields, and a source that counts its reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from aistemsplitter_engine import Block
from aistemsplitter_engine.audio import FloatArray
from stem_files import RATE


def joined(blocks: Iterable[Block]) -> dict[str, FloatArray]:
    """Concatenate the blocks of each stem; check that they are contiguous."""
    parts: dict[str, list[FloatArray]] = {}
    at = 0
    for block in blocks:
        assert block.start == at
        (length,) = {stem.shape[1] for stem in block.stems.values()}
        assert length > 0
        at += length
        for name, stem in block.stems.items():
            assert stem.shape == (2, length)
            assert stem.dtype == np.float32
            parts.setdefault(name, []).append(stem)
    return {name: np.concatenate(stems, axis=1) for name, stems in parts.items()}


class CountingSource:
    """A source that counts its reads, and may yield other audio the second time."""

    name, sample_rate, channels = "a song", RATE, 2

    def __init__(self, *passes: FloatArray) -> None:
        self.passes = passes
        self.read = 0

    def blocks(self) -> Iterator[FloatArray]:
        audio = self.passes[min(self.read, len(self.passes) - 1)]
        self.read += 1
        for start in range(0, audio.shape[1], 65_536):
            yield audio[:, start : start + 65_536]
