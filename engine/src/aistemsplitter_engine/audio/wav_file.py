"""Writing a WAV file: FFmpeg makes its header, and the samples are written without FFmpeg."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import interleaved
from aistemsplitter_engine.audio.output_file import OutputFile

_LARGEST = 0xFFFFFFFF
_RIFF_SIZE, _JUNK, _FORMAT = 4, 12, 48  # positions in a header that has room for that of an RF64


class WavFile:
    """A WAV file whose length is not known before its last sample; an RF64 past 4 GiB.

    It is, to the byte, the file that FFmpeg would write.

    Args:
        file: File to write to.
        header: Header of an empty WAV with the file's format and tags, by FFmpeg. It ends with that
            of the data, and has room for the lengths of an RF64.
        bits: Bits of a sample, 32 for floating point.
        channels: Channels of the blocks.
    """

    def __init__(self, file: OutputFile, header: bytes, bits: int, channels: int) -> None:
        self._file, self._header, self._bits = file, header, bits
        self._frame_bytes = channels * bits // 8
        self._frames = 0
        with file.explained():
            file.write(header)

    def write(self, block: FloatArray) -> None:
        """Append a (channels, n) block."""
        with self._file.explained():
            self._file.write(pcm(block, self._bits).data.cast("B"))
        self._frames += block.shape[1]

    def finish(self) -> None:
        """State the length in the header."""
        size = self._frames * self._frame_bytes
        with self._file.explained():
            self._file.write(bytes(size % 2))
            if self._frames:
                self._file.seek(0)
                self._file.write(self._finished(size + size % 2, size))

    def _finished(self, padded: int, size: int) -> bytes:
        header = bytearray(self._header)
        whole = len(header) + padded - 8
        frames, data = self._frames, size
        if whole > _LARGEST:
            header[:4] = b"RF64"
            header[_JUNK : _JUNK + 4] = b"ds64"
            struct.pack_into("<QQQ", header, _JUNK + 8, whole, padded, frames)
            whole = frames = data = _LARGEST
        struct.pack_into("<I", header, _RIFF_SIZE, whole)
        struct.pack_into("<I", header, len(header) - 4, data)
        fact = _FORMAT + 8 + int.from_bytes(header[_FORMAT + 4 : _FORMAT + 8], "little")
        if header[fact : fact + 4] == b"fact":  # that of floating point
            struct.pack_into("<I", header, fact + 8, frames)
        return bytes(header)


def pcm(block: FloatArray, bits: int) -> NDArray[np.generic]:
    """Return a block as the samples of a WAV: interleaved, and integers rounded and clipped."""
    if bits == 32:
        return interleaved(block).astype("<f4", copy=False)
    samples = np.empty(block.shape[::-1], "<i2" if bits == 16 else "<i4")
    for channel, values in zip(samples.T, integers(block, bits - 1), strict=True):
        channel[:] = values
    if bits == 16:
        return samples
    lower = samples.view(np.uint8).reshape(*samples.shape, 4)[..., :3]
    return np.ascontiguousarray(lower)


def integers(block: FloatArray, bits: int) -> FloatArray:
    """Return samples as integers of ``bits`` bits and a sign, rounded and clipped."""
    full = np.float32(2**bits)
    steps: FloatArray = block * full
    np.rint(steps, out=steps)
    return np.clip(steps, -full, full - 1, out=steps)
