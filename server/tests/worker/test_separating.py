"""The child process that separates, called in this one."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioArray, AudioFile, FloatArray, StemWriter
from aistemsplitter_server.worker import separating
from aistemsplitter_server.worker.separating import Task
from processes import SONG, until


def test_it_reports_progress_while_it_encodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the worker would take slow encoding for a hang."""
    said, awaited = io.StringIO(), 0
    write = StemWriter.write

    def slow(self: StemWriter, block: FloatArray) -> None:
        nonlocal awaited
        write(self, block)
        if '"progress": 1.0' in said.getvalue():
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
    assert fractions.count(1.0) > 1  # while its stem is encoded
