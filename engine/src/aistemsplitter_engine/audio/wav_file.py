"""Writing a WAV file: FFmpeg makes its header, and the samples are written without FFmpeg."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES, interleaved
from aistemsplitter_engine.audio.output_file import OutputFile

_LARGEST = 0xFFFFFFFF
_FULL_16 = np.float32(2**15)
# Added to a float32 of up to 2**22, it rounds to a whole number, half to even, and leaves that
# number's two's complement in the lower bits.
_INTEGER_IN_LOWER_BITS = np.float32(3 * 2**22)
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
        self._file, self._header, self._pcm = file, header, PCM(bits, channels)
        self._frame_bytes = channels * bits // 8
        self._frames = 0
        with file.explained():
            file.write(header)

    def write(self, block: FloatArray) -> None:
        """Append a (channels, n) block."""
        with self._file.explained():
            self._file.write(self._pcm.samples(block).data.cast("B"))
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


class PCM:
    """The samples of a WAV: interleaved, and integers rounded to the nearest step and clipped.

    Args:
        bits: Bits of a sample, 32 for floating point.
        channels: Channels of the blocks.
    """

    def __init__(self, bits: int, channels: int) -> None:
        self._bits = bits
        # Used again for every block: the system clears new memory, which takes as long as writing.
        self._steps = np.empty((channels, BLOCK_FRAMES), np.float32)
        self._samples = np.empty((BLOCK_FRAMES, channels), "<i2")

    def samples(self, block: FloatArray) -> NDArray[np.generic]:
        """Return a (channels, n) block of up to BLOCK_FRAMES as (n, channels), until the next call.

        With 24 bits, the result is (n, channels, 3) bytes.
        """
        if self._bits == 32:
            return interleaved(block).astype("<f4", copy=False)
        if self._bits == 16:
            return self._of_16_bits(block)
        samples = np.empty(block.shape[::-1], "<i4")
        for channel, values in zip(samples.T, integers(block, self._bits - 1), strict=True):
            channel[:] = values
        lower = samples.view(np.uint8).reshape(*samples.shape, 4)[..., :3]
        return np.ascontiguousarray(lower)

    def _of_16_bits(self, block: FloatArray) -> NDArray[np.int16]:
        """Return the same as rounding, clipping and converting, in half the time."""
        frames = block.shape[1]
        steps, samples = self._steps[:, :frames], self._samples[:frames]
        np.multiply(block, _FULL_16, out=steps)
        np.clip(steps, -_FULL_16, _FULL_16 - 1, out=steps)
        steps += _INTEGER_IN_LOWER_BITS
        lower = steps.view(np.int32)
        if len(block) == 1:
            samples[:, 0] = lower[0]
            return samples
        left, right = lower
        left &= 0xFFFF
        right <<= 16
        np.bitwise_or(left, right, out=samples.view("<i4")[:, 0])
        return samples


def integers(block: FloatArray, bits: int) -> FloatArray:
    """Return samples as integers of ``bits`` bits and a sign, rounded and clipped."""
    full = np.float32(2**bits)
    steps: FloatArray = block * full
    np.rint(steps, out=steps)
    return np.clip(steps, -full, full - 1, out=steps)
