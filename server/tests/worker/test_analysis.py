"""Finding tempo, key and beats of a song in the confined child process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.worker import analysis

RATE = 44_100
BEAT = 60 / 96  # seconds
START = 0.4  # seconds
BEATS = 32
CHORDS = ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12))  # C, G, A minor and F


def song() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return drums and chords in C major, 96 beats a minute, 4 beats a bar."""
    rng = np.random.default_rng(0)
    drums, chords = np.zeros((2, round((START + BEATS * BEAT + 1) * RATE)), np.float32)
    fade = np.exp(-np.arange(RATE // 5) / RATE / 0.04)
    for beat in range(BEATS):
        at = round((START + beat * BEAT) * RATE)
        tone = np.sin(2 * np.pi * 55 * np.arange(fade.size) / RATE)
        hit = tone if beat % 2 == 0 else rng.standard_normal(fade.size) / 3
        drums[at : at + fade.size] += hit * fade * 0.5
    length = round(4 * BEAT * RATE)
    for bar in range(BEATS // 4):
        at = round((START + 4 * bar * BEAT) * RATE)
        for step, pitch in enumerate((CHORDS[bar % 4][0] - 12, *CHORDS[bar % 4])):
            hertz = 261.63 * 2 ** (pitch / 12)
            tone = np.sin(2 * np.pi * hertz * np.arange(length) / RATE)
            chords[at : at + length] += tone * (0.3 if step == 0 else 0.1)
    return drums, chords


def write(path: Path, audio: NDArray[np.float32]) -> Path:
    with StemWriter(path, OutputFormat("flac"), RATE, 2) as writer:
        writer.write(np.stack([audio, audio]))
    return path


def test_a_song(tmp_path: Path) -> None:
    drums, chords = song()
    stems = {
        "drums": write(tmp_path / "drums.flac", drums),
        "other": write(tmp_path / "other.flac", chords),
    }
    found = analysis.analyse(tmp_path, stems, tmp_path / "none", 21.0, lambda: False)
    assert found is not None
    assert found.grid is not None
    assert (found.key, found.grid.beats_per_bar) == ("C major", 4)
    assert found.grid.bpm == pytest.approx(96, rel=0.005)
    true = START + BEAT * np.arange(BEATS)
    beats = np.array(found.grid.beats) / 1000
    assert np.abs(beats[:, None] - true).min(axis=0).max() < 0.03
    downbeat = beats[found.grid.first_downbeat]
    assert np.abs(downbeat - true[::4]).min() < 0.03


def test_only_the_beginning_is_analysed(tmp_path: Path) -> None:
    """A preview has stems of its own length, but what they lack comes from the whole song."""
    drums, chords = song()
    whole = write(tmp_path / "song.flac", drums + chords)
    found = analysis.analyse(tmp_path, {}, whole, 10.0, lambda: False)
    assert found is not None
    assert found.grid is not None
    assert 8000 < found.grid.beats[-1] < 11_500


def test_what_is_not_music(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It has no analysis, or an empty one, and nothing is raised."""
    noise = np.random.default_rng(0).standard_normal(8 * RATE).astype(np.float32) / 10
    vocals = {"vocals": write(tmp_path / "vocals.flac", noise)}
    found = analysis.analyse(tmp_path, vocals, vocals["vocals"], 8.0, lambda: False)
    assert found is not None
    assert found.grid is None
    assert caplog.text == ""
    damaged = tmp_path / "damaged.flac"
    damaged.write_bytes(b"fLaC" + bytes(1000))
    assert analysis.analyse(tmp_path, {"drums": damaged}, damaged, 8.0, lambda: False) is None
    assert "not analysed" in caplog.text
    assert analysis.analyse(tmp_path, vocals, damaged, 3600.0, lambda: False) is None  # too long
    assert analysis.analyse(tmp_path, vocals, vocals["vocals"], 8.0, lambda: True) is None
