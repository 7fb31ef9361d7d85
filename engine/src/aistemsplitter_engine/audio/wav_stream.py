"""Writing a WAV to a stream that cannot seek, such as a pipe."""

from __future__ import annotations

import struct
from typing import IO

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES
from aistemsplitter_engine.audio.wav_file import PCM
from aistemsplitter_engine.formats import OutputFormat

_PCM, _FLOAT = 1, 3  # format tags
_UNKNOWN = 0xFFFFFFFF  # the lengths of an RF64 are in its ds64 chunk


class WavStream:
    """A WAV whose length is known before its first sample; an RF64 past 4 GiB.

    Args:
        file: Binary stream to write to.
        output: Format ``wav`` with its bit depth.
        sample_rate: Sample rate of the blocks in Hz.
        channels: Channels of the blocks.
        frames: Number of frames that will be written.

    Raises:
        OSError: The stream cannot be written.
    """

    def __init__(
        self, file: IO[bytes], output: OutputFormat, sample_rate: int, channels: int, frames: int
    ) -> None:
        self._file = file
        bits = output.bit_depth or 16
        self._pcm = PCM(bits, channels)
        size = frames * channels * bits // 8
        file.write(self._header(output, sample_rate, channels, frames, size))

    def write(self, block: FloatArray) -> None:
        """Append a (channels, n) block, converted and clipped as :class:`StemWriter` does."""
        for start in range(0, block.shape[1], BLOCK_FRAMES):
            part = block[:, start : start + BLOCK_FRAMES]
            self._file.write(self._pcm.samples(part).data.cast("B"))
        self._file.flush()

    def _header(
        self, output: OutputFormat, sample_rate: int, channels: int, frames: int, size: int
    ) -> bytes:
        bits = output.bit_depth or 16
        width = channels * bits // 8
        tag = _FLOAT if output.is_float else _PCM
        form = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * width, width, bits)
        chunks = b"WAVE"
        large = size > _UNKNOWN - 100
        if large:
            whole = 4 + 36 + 8 + len(form) + 8 + size
            chunks += b"ds64" + struct.pack("<IQQQI", 28, whole, size, frames, 0)
        chunks += b"fmt " + struct.pack("<I", len(form)) + form
        chunks += b"data" + struct.pack("<I", _UNKNOWN if large else size)
        if large:
            return b"RF64" + struct.pack("<I", _UNKNOWN) + chunks
        return b"RIFF" + struct.pack("<I", len(chunks) + size) + chunks
