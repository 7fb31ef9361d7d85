"""WAV files, compared with those that FFmpeg writes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio import AudioFile, StemWriter
from aistemsplitter_engine.audio.ffmpeg_encoder import FFmpegEncoder
from aistemsplitter_engine.audio.output_file import OutputFile
from aistemsplitter_engine.formats import OutputFormat

TAGS = {"title": "Übung", "artist": "A", "track": "3/7", "comment": "x" * 301, "unknown": "y"}


def by_ffmpeg(
    path: Path, blocks: list[FloatArray], output: OutputFormat, rate: int, tags: dict[str, str]
) -> bytes:
    file = OutputFile(path)
    encoder = FFmpegEncoder(file, output, rate, len(blocks[0]), tags, None)
    for block in blocks:
        encoder.write(block)
    encoder.finish()
    file.close()
    return path.read_bytes()


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("tags", [{}, TAGS])
@pytest.mark.parametrize("frames", [1, 2, 5001])
def test_the_file_is_that_of_ffmpeg(
    tmp_path: Path, bits: int, rate: int, tags: dict[str, str], frames: int
) -> None:
    rng = np.random.default_rng(frames)
    output = OutputFormat("wav", bits)
    for channels in (1, 2):
        audio = rng.uniform(-1.5, 1.5, (channels, frames)).astype(np.float32)
        steps = np.array([-0.0, 0.5, 1.5, -0.5, 2**15 - 1.5, 2**15 - 0.5, 2**15, -(2**15)])
        audio.flat[:8] = steps[: audio.size] / 2**15
        blocks = np.split(audio, [frames // 3], axis=1) if frames > 2 else [audio]
        expected = by_ffmpeg(tmp_path / "theirs.wav", blocks, output, rate, tags)
        with StemWriter(tmp_path / "ours.wav", output, rate, channels, tags=tags) as writer:
            for block in blocks:
                writer.write(block)
        assert (tmp_path / "ours.wav").read_bytes() == expected


@pytest.mark.parametrize(("bits", "chunks"), [(32, [b"fmt ", b"fact"]), (24, [b"fmt "])])
def test_past_4_gib_it_is_an_rf64(tmp_path: Path, bits: int, chunks: list[bytes]) -> None:
    """Most of the file is a hole, so the test needs little time and disk space."""
    path = tmp_path / "long.wav"
    rate, frames = 192_000, (1 << 34) // bits
    with StemWriter(path, OutputFormat("wav", bits), rate, 2) as writer:
        writer._file.seek(frames * bits // 4, os.SEEK_CUR)
        writer._encoder._frames = frames
        writer.write(np.full((2, 1000), 0.5, np.float32))
    frames += 1000
    with path.open("rb") as opened:
        header = opened.read(200)
    data = header.index(b"data")
    size = path.stat().st_size
    assert size == data + 8 + frames * bits // 4
    assert header[:16] == b"RF64\xff\xff\xff\xffWAVEds64"
    sizes = struct.unpack("<IQQQI", header[16:48])
    assert sizes == (28, size - 8, frames * bits // 4, frames, 0)
    assert [name for name in (b"fmt ", b"fact") if name in header] == chunks
    if b"fact" in chunks:
        fact = header.index(b"fact")
        assert header[fact + 4 : fact + 12] == b"\x04\0\0\0\xff\xff\xff\xff"
    assert header[data + 4 : data + 8] == b"\xff\xff\xff\xff"
    file = AudioFile(path)
    assert file.frames == frames
    assert file.duration == pytest.approx(frames / rate)
