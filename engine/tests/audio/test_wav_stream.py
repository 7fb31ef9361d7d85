"""WAV streams, which cannot seek back to state their length."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import BLOCK_FRAMES, AudioFile, StemWriter
from aistemsplitter_engine.audio.wav_stream import WavStream
from aistemsplitter_engine.formats import OutputFormat

RATE = 44_100
FRAMES = BLOCK_FRAMES + 1001


class Pipe(io.BytesIO):
    """A stream that cannot seek."""

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize("depth", [16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_samples_are_those_of_a_file(tmp_path: Path, depth: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    audio = rng.uniform(-1.5, 1.5, (channels, FRAMES)).astype(np.float32)
    output, pipe = OutputFormat("wav", depth), Pipe()
    stream = WavStream(pipe, output, RATE, channels, FRAMES)
    with StemWriter(tmp_path / "file.wav", output, RATE, channels) as writer:
        for block in np.split(audio, [1, 500], axis=1):
            stream.write(block)
            writer.write(block)
    (tmp_path / "stream.wav").write_bytes(pipe.getvalue())
    ours, theirs = AudioFile(tmp_path / "stream.wav"), AudioFile(tmp_path / "file.wav")
    assert (ours.frames, ours.sample_rate, ours.channels) == (FRAMES, RATE, channels)
    assert ours.codec == theirs.codec
    samples = [np.concatenate([*file.blocks()], axis=1) for file in (ours, theirs)]
    assert np.array_equal(*samples)


def test_past_4_gib_it_is_an_rf64() -> None:
    pipe, frames = Pipe(), 1 << 30
    WavStream(pipe, OutputFormat("wav", 32), RATE, 2, frames)
    header, size = pipe.getvalue(), frames * 8
    assert header[:4] == b"RF64"
    assert header[12:16] == b"ds64"
    assert struct.unpack("<IQQQI", header[16:48]) == (28, len(header) + size - 8, size, frames, 0)
    assert header[-8:] == b"data\xff\xff\xff\xff"
