"""The separating child process, called in this process."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioArray, AudioFile, FloatArray, StemWriter
from aistemsplitter_engine.pipeline.write import SEPARATION_SHARE
from aistemsplitter_server.sandbox.received_song import DecoderFailed
from aistemsplitter_server.worker import separating
from aistemsplitter_server.worker.separating import Task
from processes import SONG, until


def test_progress_is_reported_while_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the worker would take slow encoding for a hang."""
    said, awaited = io.StringIO(), 0
    write = StemWriter.write

    def slow(self: StemWriter, block: FloatArray) -> None:
        nonlocal awaited
        write(self, block)
        if f'"progress": {SEPARATION_SHARE}' in said.getvalue():
            until(lambda: len(said.getvalue()) > awaited)
            awaited = len(said.getvalue())

    monkeypatch.setattr(StemWriter, "write", slow)
    monkeypatch.setattr(separating, "PERIOD", 0.0)
    samples = np.concatenate([*AudioFile(SONG).blocks()], axis=1)[:, : 6 * 44_100]
    task = Task("", "song", str(tmp_path), "htdemucs_tiny", ["vocals"], "mp3", None, 6.0)
    song = AudioArray(samples, 44_100)
    answer = separating._carried_out(task, lambda: song, {}, threading.Event(), said)
    assert "done" in answer
    fractions = [json.loads(line)["progress"] for line in said.getvalue().splitlines()]
    assert fractions[0] == 0  # while the song is measured
    assert any(SEPARATION_SHARE < fraction < 1 for fraction in fractions)  # while it is encoded
    assert fractions[-1] == 1


def test_a_format_whose_files_cannot_hold_the_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aistemsplitter_engine.formats._AIFF_MAX_BYTES", 1000)
    task = Task("", "song", str(tmp_path), "htdemucs_tiny", ["vocals"], "aiff", None, 1.0)
    song = AudioArray(np.zeros((2, 44_100), np.float32), 44_100)
    answer = separating._carried_out(task, lambda: song, {}, threading.Event(), io.StringIO())
    assert answer["failed"]["code"] == "UNSUPPORTED_MEDIA"
    assert "choose wav or flac" in answer["failed"]["message"]


class Failing(AudioArray):
    """A song whose decoder is killed near the end of its second pass."""

    passes = 0

    def blocks(self) -> Iterator[FloatArray]:
        self.passes += 1
        blocks = [*super().blocks()]
        if self.passes == 1:
            yield from blocks
            return
        yield from blocks[:-1]
        raise DecoderFailed("song: its decoder failed")


def test_separated_audio_is_kept_if_the_decoder_fails(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, (2, 25 * 44_100)).astype(np.float32)
    task = Task("", "song", str(tmp_path), "htdemucs_tiny", ["vocals"], "wav", None, 25.0)
    song = Failing(samples, 44_100)
    answer = separating._carried_out(task, lambda: song, {}, threading.Event(), io.StringIO())
    assert answer["failed"]["code"] == separating.DECODER_FAILED
    assert (tmp_path / ".aistemsplitter" / "vocals.f32").stat().st_size > 0
