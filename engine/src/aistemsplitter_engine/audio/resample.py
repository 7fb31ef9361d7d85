"""Resampling of a stream."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES, interleaved


def resample(
    blocks: Iterable[FloatArray], source_rate: int, target_rate: int, frames: int | None = None
) -> Iterator[FloatArray]:
    """Yield the stream at another sample rate, in blocks, in constant memory.

    There is no delay. The result has ``frames`` frames if that is given, padded with silence if
    necessary, else n * target_rate / source_rate, rounded up. An empty stream stays empty unless
    ``frames`` is given. With equal rates, the samples do not change. Empty blocks are yielded as
    they come, so that a source can let the caller wait for samples.

    Args:
        blocks: Blocks (channels, n), all with the same number of channels.
        source_rate: Sample rate of ``blocks`` in Hz.
        target_rate: Sample rate of the result in Hz.
        frames: Exact number of frames to yield.
    """
    if source_rate == target_rate:
        converted = iter(blocks)
    else:
        converted = _convert(blocks, source_rate, target_rate)
    return converted if frames is None else _exactly(converted, frames)


def _convert(
    blocks: Iterable[FloatArray], source_rate: int, target_rate: int
) -> Iterator[FloatArray]:
    """Resample to the length that the docstring of ``resample`` states."""
    # In slices, since 1 kHz to 768 kHz would make a block many times as long.
    step = max(1, min(BLOCK_FRAMES, BLOCK_FRAMES * source_rate // target_rate))
    stream: soxr.ResampleStream | None = None
    read = written = channels = 0
    for block in blocks:
        if block.shape[1] == 0:
            yield block
            continue
        if stream is None:
            channels = block.shape[0]
            stream = soxr.ResampleStream(
                source_rate, target_rate, channels, dtype="float32", quality="VHQ"
            )
        for start in range(0, block.shape[1], step):
            part = block[:, start : start + step]
            read += part.shape[1]
            out = stream.resample_chunk(interleaved(part))
            written += out.shape[0]
            yield from _blocks(out)
    if stream is None or read == 0:
        return
    # soxr rounds the length to the nearest; silence after the end lets it round up.
    silence = np.zeros((source_rate // target_rate + 1, channels), dtype=np.float32)
    missing = -(-read * target_rate // source_rate) - written
    tail = [stream.resample_chunk(silence), stream.resample_chunk(silence[:0], last=True)]
    yield from _exactly((block for out in tail for block in _blocks(out)), missing, channels)


def _blocks(frames: FloatArray) -> Iterator[FloatArray]:
    """Yield (n, channels) as blocks: soxr returns large pieces if the rates differ a lot."""
    for start in range(0, frames.shape[0], BLOCK_FRAMES):
        yield np.ascontiguousarray(frames[start : start + BLOCK_FRAMES].T)


def _exactly(blocks: Iterable[FloatArray], frames: int, channels: int = 2) -> Iterator[FloatArray]:
    """Truncate a stream to ``frames`` frames, or pad it with silence."""
    left = frames
    for block in blocks:
        channels = block.shape[0]
        if left > 0:
            yield block if block.shape[1] <= left else np.ascontiguousarray(block[:, :left])
        left -= block.shape[1]
        if left <= 0:
            return
    while left > 0:
        yield np.zeros((channels, min(left, BLOCK_FRAMES)), dtype=np.float32)
        left -= BLOCK_FRAMES
