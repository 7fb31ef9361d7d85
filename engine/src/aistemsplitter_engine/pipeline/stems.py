"""Stems in memory: block by block, or of a whole song."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aistemsplitter_engine.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Block:
    """A part of every stem.

    Attributes:
        start: Position of the block's first sample in the song.
        sample_rate: Sample rate in Hz.
        stems: Samples (2, n) in float32 by stem.
        frames: Samples per channel of the whole song at this rate.
    """

    start: int
    sample_rate: int
    stems: dict[str, FloatArray]
    frames: int


@dataclass(frozen=True, slots=True)
class Separated:
    """A song and its stems in memory.

    Attributes:
        mixture: The song (2, frames) in float32; a mono song is on both channels.
        stems: Samples (2, frames) in float32 by stem, aligned with the mixture.
        sample_rate: Sample rate of all of them in Hz.
        warnings: Warnings about the song.
    """

    mixture: FloatArray
    stems: dict[str, FloatArray]
    sample_rate: int
    warnings: tuple[str, ...] = ()


def joined(blocks: Iterable[Block]) -> dict[str, FloatArray]:
    """Return all blocks of a song's stems as one array (2, frames) for each stem."""
    whole: dict[str, FloatArray] = {}
    for block in blocks:
        for stem, samples in block.stems.items():
            if stem not in whole:
                whole[stem] = np.empty((2, block.frames), np.float32)
            whole[stem][:, block.start : block.start + samples.shape[1]] = samples
    return whole
