"""Every phase reports progress, so that a watchdog can distinguish slow work from a hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_engine import AudioArray
from aistemsplitter_engine.audio import FloatArray, StemWriter
from aistemsplitter_engine.options import FormatName
from aistemsplitter_engine.pipeline.write import SEPARATION_SHARE
from stem_files import separator, song, stop

PATIENCE = 30  # seconds; how long a report may take on a busy machine


class Reports:
    """A progress listener for which slow work can wait."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self._awaited = 0
        self._changed = threading.Condition()

    def __call__(self, fraction: float) -> None:
        with self._changed:
            self.count, self.last = self.count + 1, fraction
            self._changed.notify_all()

    def wait_for_more(self) -> bool:
        """Wait for a report since the last call; return False if none comes."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.count > self._awaited, PATIENCE)
            self._awaited = self.count
            return came


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus", "m4a"])
def test_encoding_reports_each_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: FormatName
) -> None:
    """After the last segment too, and while loud stems are encoded for a second time."""
    reports = Reports()
    write, silent = StemWriter.write, []

    def slow(self: StemWriter, block: FloatArray) -> None:
        write(self, block)
        if SEPARATION_SHARE <= reports.last < 1 and not reports.wait_for_more():
            silent.append(self.path)

    monkeypatch.setattr(StemWriter, "write", slow)
    result = separator().split(
        song(12, gain=9), tmp_path, stems=["vocals"], format=format, on_progress=reports
    )
    assert result.gain < 1
    assert silent == []


@pytest.mark.parametrize("begin", [0, 0.9])
def test_reading_reports_each_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: float
) -> None:
    """While the song is measured, and while already separated audio is skipped."""
    if begin:
        stop(song(20), tmp_path, begin)
    reports = Reports()
    blocks = AudioArray.blocks
    counts: list[int] = []

    def counted(self: AudioArray) -> Iterator[FloatArray]:
        for block in blocks(self):
            counts.append(reports.count)
            yield block

    monkeypatch.setattr(AudioArray, "blocks", counted)
    separator().split(song(20), tmp_path, resume=True, on_progress=reports)
    measured = len(counts) // 2
    assert counts[:measured] == list(range(measured))
    assert reports.count >= len(counts)
