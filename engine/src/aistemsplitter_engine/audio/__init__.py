"""Audio files: decoding, downmixing, resampling, encoding and tags."""

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES, interleaved
from aistemsplitter_engine.audio.encode import StemWriter
from aistemsplitter_engine.audio.file import AudioFile
from aistemsplitter_engine.audio.resample import resample
from aistemsplitter_engine.audio.source import AudioArray, Source, TaggedSource
from aistemsplitter_engine.audio.tags import Cover

__all__ = [
    "BLOCK_FRAMES",
    "AudioArray",
    "AudioFile",
    "Cover",
    "FloatArray",
    "Source",
    "StemWriter",
    "TaggedSource",
    "interleaved",
    "resample",
]
