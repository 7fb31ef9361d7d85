"""The offsets of Demucs' shift trick: a track is separated several times, and averaged."""

from __future__ import annotations

import random

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid

_LONGEST_SHIFT = 0.5  # seconds


def draw_offsets(
    config: Configuration,
    networks: int,
    shifts: int,
    seed: int | None,
    frames: int,
    overlap: float,
) -> list[list[int]]:
    """Draw the offsets of every network of a bag as Demucs does; ``[0]`` each without shifts.

    Offsets are drawn for all networks, needed or not, so that leaving one out does not change the
    others.
    """
    longest = int(_LONGEST_SHIFT * config.samplerate)
    # Python's own generator, as Demucs seeds it; a stronger one would draw other numbers.
    generator = random.Random(seed)
    offsets: list[list[int]] = []
    for _ in range(networks):
        offsets.append([])
        for _ in range(shifts):
            offset = longest - generator.randint(0, longest)
            offsets[-1].append(offset)
            if config.t_layers:
                # Demucs' position embedding draws an unused number for every segment, which
                # changes the numbers after it.
                for _ in range(len(TriangleGrid(frames, config.segment_frames, overlap, offset))):
                    generator.randrange(1)
    return offsets if shifts else [[0]] * networks
