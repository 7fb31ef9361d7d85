"""Upper bounds of the bytes of a split's stems, to reserve room before they are made."""

from __future__ import annotations

import math

from aistemsplitter_server.splits import options
from aistemsplitter_server.splits.tables import Split

LOSSLESS = {"wav", "flac", "aiff", "alac"}
USUAL_BIT_DEPTH = 16
# Of one stereo stem, at the engine's bit rates.
BYTES_PER_SECOND = {"mp3": 40_000, "m4a": 32_000, "opus": 24_000}
USUAL_RATE = 44100  # Hz


def of_stems(split: Split) -> int:
    """Return the most bytes that the stems take, without headers; 0 if not measured."""
    seconds = options.separated_seconds(split)
    chosen = options.of(split.options)
    if split.output_format in LOSSLESS:
        frames = chosen.sample_rate or split.sample_rate or USUAL_RATE
        rate = frames * 2 * (chosen.bit_depth or USUAL_BIT_DEPTH) // 8
    elif chosen.bitrate is not None:
        rate = chosen.bitrate * 1000 // 8
    else:
        rate = BYTES_PER_SECOND[split.output_format]
    return len(split.stems) * math.ceil(seconds * rate)
