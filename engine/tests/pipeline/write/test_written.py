"""Contents of the written files, and memory that does not grow with the song."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile, Cover, FloatArray
from aistemsplitter_engine.pipeline import spool, track
from fakes import music
from stem_files import RATE, STEMS, Options, read, read_all, separator, song, write_song


def test_the_stems_of_a_song(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", music(3))
    result = separator().split(path, tmp_path / "new" / "folder", format="flac", bit_depth=24)
    stems = read_all(tmp_path / "new" / "folder", "flac")
    assert list(result.stems) == list(STEMS)
    assert result.stems["bass"] == tmp_path / "new" / "folder" / "bass.flac"
    assert (result.sample_rate, result.frames, result.duration) == (RATE, 3 * RATE, 3.0)
    assert (result.gain, result.warnings) == (1.0, ())
    assert result.elapsed > 0
    blocks = list(separator().separate(path))
    for stem, got in zip(STEMS, stems, strict=True):
        expected = np.concatenate([block.stems[stem] for block in blocks], axis=1)
        assert np.abs(got - expected).max() <= 2**-24


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("seconds", [0, 0.51])
def test_exactly_the_songs_length_at_its_rate(
    tmp_path: Path, rate: int, channels: int, seconds: float
) -> None:
    frames = 1 + int(seconds * rate)
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (channels, frames)).astype(np.float32)
    path = write_song(tmp_path / "song.wav", audio, rate)
    result = separator().split(path, tmp_path / "out", stems=["vocals", "residual"])
    assert (result.sample_rate, result.frames) == (rate, frames)
    for stem in result.stems.values():
        written = AudioFile(stem)
        assert (written.sample_rate, written.frames, written.channels) == (rate, frames, 2)
        assert read(stem).shape == (2, frames)


@pytest.mark.parametrize(
    ("options", "rate", "frames"),
    [
        ({"sample_rate": 16_000}, 16_000, 24_000),
        ({"format": "opus"}, 48_000, 72_000),
        ({"format": "mp3"}, 44_100, 66_150),
        ({"format": "m4a", "sample_rate": 192_000}, 96_000, 144_000),
    ],
)
def test_other_rates(tmp_path: Path, options: Options, rate: int, frames: int) -> None:
    result = separator().split(song(1.5), tmp_path, stems=["bass"], **options)
    assert (result.sample_rate, result.frames) == (rate, frames)
    assert AudioFile(result.stems["bass"]).sample_rate == rate
    assert read(result.stems["bass"]).shape == (2, frames)


def test_mono(tmp_path: Path) -> None:
    separator().split(song(), tmp_path / "stereo", bit_depth=32)
    separator().split(song(), tmp_path / "mono", bit_depth=32, mono=True)
    stereo, mono = read_all(tmp_path / "stereo"), read_all(tmp_path / "mono")
    assert {AudioFile(path).channels for path in (tmp_path / "mono").iterdir()} == {1}
    assert np.abs(mono[:, 0] - stereo.mean(1)).max() < 1e-6


@pytest.mark.parametrize("format", ["flac", "mp3", "m4a", "opus"])
def test_tags_and_cover_are_carried_over(tmp_path: Path, format: str) -> None:
    png = (  # one pixel
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8"
        b"\xcf\xc0\0\0\3\1\1\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82"
    )
    tags, cover = {"title": "Ein Lied", "artist": "Wir"}, Cover("image/png", png)
    path = write_song(tmp_path / "song.flac", music(1), tags=tags, cover=cover)
    result = separator().split(path, tmp_path / "out", format=format)
    for stem in result.stems.values():
        written = AudioFile(stem)
        assert {key.lower(): value for key, value in written.tags.items()} == tags
        assert written.cover == cover


def test_warnings_about_the_song(tmp_path: Path) -> None:
    audio = music(1)
    audio[0, 5:10] = np.nan
    path = write_song(tmp_path / "song.wav", audio)
    result = separator().split(path, tmp_path / "out")
    assert result.warnings == ("5 samples that are NaN or infinite were replaced by silence",)
    assert np.isfinite(read_all(tmp_path / "out")).all()


def test_memory_does_not_grow_with_the_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_IN_MEMORY", 0.1)  # seconds; a real network takes longer
    monkeypatch.setattr(track, "_LONGEST_HELD", 30)
    block = music(65_536 / RATE)

    class Long:
        name, sample_rate, channels = "long", RATE, 2

        def __init__(self, minutes: float) -> None:
            self.frames = int(minutes * 60 * RATE)

        def blocks(self) -> Iterator[FloatArray]:
            for start in range(0, self.frames, 65_536):
                yield block[:, : self.frames - start]

    def peak(minutes: float) -> int:
        tracemalloc.start()
        try:
            separator().split(Long(minutes), tmp_path, stems=["vocals"])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(0.5)  # imports and caches
    # Threads make it vary; held in memory, the longer song would take five times as much.
    assert peak(8) < 2 * peak(1)
