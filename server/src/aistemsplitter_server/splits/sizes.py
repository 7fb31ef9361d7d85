"""Upper bounds of the bytes of a split's stems, to reserve room before they are made."""

from __future__ import annotations

import math

from aistemsplitter_server.models.service import TEST_SECONDS
from aistemsplitter_server.splits.tables import Split

# Bytes per frame of one stereo stem. WAV and FLAC keep 16-bit samples at the song's own rate; the
# bit rates of the others are the engine's.
BYTES_PER_FRAME = {"wav": 4, "flac": 4}
BYTES_PER_SECOND = {"mp3": 40_000, "m4a": 32_000, "opus": 24_000}
USUAL_RATE = 44100  # Hz


def of_stems(split: Split) -> int:
    """Return the most bytes that the stems take, without headers; 0 if not measured."""
    seconds = split.duration_seconds
    if split.is_test:
        seconds = min(seconds, TEST_SECONDS)
    if split.output_format in BYTES_PER_FRAME:
        rate = (split.sample_rate or USUAL_RATE) * BYTES_PER_FRAME[split.output_format]
    else:
        rate = BYTES_PER_SECOND[split.output_format]
    return len(split.stems) * math.ceil(seconds * rate)
