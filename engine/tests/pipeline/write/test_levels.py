"""Stems that exceed full scale."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import FloatArray, StemWriter
from aistemsplitter_engine.audio.loudness import LoudnessMeter
from stem_files import RATE, STEMS, Options, read, read_all, separator, song, tree


def levels(tmp_path: Path, **options: object) -> tuple[FloatArray, FloatArray, float]:
    """Return the exact stems of a loud song, the written stems, and the gain."""
    loud = song(4, gain=9)
    separator().split(loud, tmp_path / "float", bit_depth=32)
    result = separator().split(loud, tmp_path / "out", **options)
    format = options.get("format", "wav")
    return read_all(tmp_path / "float"), read_all(tmp_path / "out", format), result.gain


def test_stems_are_turned_down_together(tmp_path: Path) -> None:
    plain, scaled, gain = levels(tmp_path)
    peak = np.abs(plain).max()
    assert peak > 1.5  # otherwise this test would prove nothing
    assert gain == pytest.approx(1 / peak)
    assert np.abs(scaled).max() == pytest.approx(1, abs=2**-15)
    assert np.abs(scaled - plain * gain).max() <= 2**-15
    assert sum(np.abs(stem).max() < 0.999 for stem in scaled) == 3  # all by the same gain


def test_stems_that_fit_are_left_alone(tmp_path: Path) -> None:
    result = separator().split(song(), tmp_path / "out")
    assert result.gain == 1
    separator().split(song(), tmp_path / "none", clip="none")
    assert tree(tmp_path / "out") == tree(tmp_path / "none")


@pytest.mark.parametrize("clip", ["clamp", "none"])
def test_peaks_are_clipped(tmp_path: Path, clip: str) -> None:
    plain, cut, gain = levels(tmp_path, clip=clip)
    assert gain == 1
    assert np.abs(cut - plain.clip(-1, 1)).max() <= 2**-15


def test_none_leaves_peaks_to_the_format(tmp_path: Path) -> None:
    """An MP3 can exceed full scale."""
    _, clamped, _ = levels(tmp_path, clip="clamp", format="mp3")
    shutil.rmtree(tmp_path / "out")
    _, kept, _ = levels(tmp_path, clip="none", format="mp3")
    assert np.abs(kept).max() > 1.5 > np.abs(clamped).max()


@pytest.mark.parametrize("clip", ["rescale", "clamp", "none"])
def test_float_is_never_touched(tmp_path: Path, clip: str) -> None:
    plain, written, gain = levels(tmp_path, bit_depth=32, clip=clip)
    assert gain == 1
    assert np.array_equal(plain, written)


@pytest.mark.parametrize("options", [{"mono": True}, {"sample_rate": 48_000}, {"format": "flac"}])
def test_the_level_is_measured_on_the_written_stems(tmp_path: Path, options: Options) -> None:
    """Folding and resampling change the peaks of a stem."""
    result = separator().split(song(4, gain=9), tmp_path, **options)
    peak = max(np.abs(read(path)).max() for path in result.stems.values())
    assert result.gain < 1
    assert peak == pytest.approx(1, abs=1e-4)


def test_stems_and_residual_still_sum_to_the_mixture(tmp_path: Path) -> None:
    loud = song(4, gain=9)
    stems = [*STEMS, "residual"]
    result = separator().split(loud, tmp_path, stems=stems, bit_depth=24)
    assert result.gain < 1
    total = sum(read(path) for path in result.stems.values())
    assert np.abs(total - loud._array * np.float32(result.gain)).max() < 1e-5


def test_stems_that_will_be_encoded_again_are_not_encoded_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = StemWriter.write

    def count(self: StemWriter, block: FloatArray) -> None:
        written.append(block.shape[1])
        write(self, block)

    monkeypatch.setattr(StemWriter, "write", count)
    loud = song(30, gain=9)
    separator().split(loud, tmp_path)
    assert 4 * loud.frames <= sum(written) < 6 * loud.frames  # not 8


@pytest.mark.parametrize("gain", [0.1, 1], ids=["quiet", "usual"])
def test_the_mixture_gets_the_loudness_of_streaming_services(tmp_path: Path, gain: float) -> None:
    quiet = song(4, gain=gain)
    result = separator().split(
        quiet, tmp_path / "out", bit_depth=32, normalize="mixture-loudness", stems=[*STEMS]
    )
    separator().split(quiet, tmp_path / "plain", bit_depth=32)
    plain, made = read_all(tmp_path / "plain"), read_all(tmp_path / "out")
    assert result.gain == result.loudness_gain != 1
    assert np.abs(made - plain * np.float32(result.gain)).max() <= 1e-6
    assert loudness(next(iter(quiet.blocks())) * result.gain) == pytest.approx(-14, abs=0.1)


def test_normalized_stems_stay_within_full_scale(tmp_path: Path) -> None:
    result = separator().split(song(4, gain=0.1), tmp_path / "out", normalize="mixture-loudness")
    stems = read_all(tmp_path / "out")
    assert np.abs(stems).max() <= 1
    if result.gain < result.loudness_gain:  # the peaks did not allow the loudness
        assert np.abs(stems).max() == pytest.approx(1, abs=2**-15)


def test_silence_is_not_normalized(tmp_path: Path) -> None:
    result = separator().split(song(1, gain=0), tmp_path / "out", normalize="mixture-loudness")
    assert result.gain == 1
    assert not read_all(tmp_path / "out").any()


def loudness(audio: FloatArray) -> float | None:
    meter = LoudnessMeter(RATE)
    meter.add(audio.astype(np.float32))
    return meter.integrated()
