"""Songs and stems as arrays."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.audio import resample
from aistemsplitter_engine.errors import AudioError, Cancelled, OptionError
from fakes import FakeRuntime, music
from stem_blocks import joined
from stem_files import RATE, STEMS, write_song

AUDIO = music(5)


@pytest.mark.usefixtures("fakes")
def test_an_array() -> None:
    """The same samples as those of the stream, in float32."""
    separator = Separator("htdemucs_tiny")
    whole = separator.separate_array(AUDIO.astype(np.float64), RATE, stems=["bass", "residual"])
    streamed = joined(separator.separate(AudioArray(AUDIO, RATE), stems=["bass", "residual"]))
    assert whole.sample_rate == RATE
    assert list(whole.stems) == ["bass", "residual"]
    for array in (whole.mixture, *whole.stems.values()):
        assert (array.shape, array.dtype) == (AUDIO.shape, np.float32)
    assert np.array_equal(whole.mixture, AUDIO)
    for stem, samples in streamed.items():
        assert np.array_equal(whole.stems[stem], samples)
    assert list(separator.separate_array(AUDIO, RATE).stems) == [*STEMS]


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("shape", [(-1,), (1, -1)])
def test_mono_is_on_both_channels(shape: tuple[int, ...]) -> None:
    separator = Separator("htdemucs_tiny")
    mono = separator.separate_array(AUDIO[0].reshape(shape), 48_000)
    stereo = separator.separate_array(AUDIO[[0, 0]], 48_000)
    assert np.array_equal(mono.mixture, AUDIO[[0, 0]])
    for stem in STEMS:
        assert np.array_equal(mono.stems[stem], stereo.stems[stem])


def test_tensors(fakes: list[FakeRuntime]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    separator = Separator("htdemucs_tiny")
    expected = separator.separate_array(AUDIO, RATE)
    tensor = torch.tensor(AUDIO, requires_grad=True)  # which NumPy refuses to convert
    for song in (tensor, AudioArray(tensor, RATE)):
        if isinstance(song, AudioArray):
            stems = joined(separator.separate(song))
        else:
            stems = separator.separate_array(song, RATE).stems
        assert all(np.array_equal(stems[stem], expected.stems[stem]) for stem in STEMS)
    with pytest.raises(AudioError) as caught:
        separator.separate_array(tensor.bfloat16(), RATE)
    assert str(caught.value) == (
        "array: a tensor of torch.bfloat16 cannot be read; convert it with .float()"
    )
    assert fakes


def test_pytorch_is_not_imported() -> None:
    code = """
import sys, numpy
from aistemsplitter_engine import Separator
with Separator("htdemucs_tiny", device="cpu") as separator:
    separator.separate_array(numpy.zeros((2, 1), "float32"), 44100)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((2, 9), np.int16), "array: audio must be floating point in [-1, 1], not int16; "),
        (np.zeros((9, 2)), "array: audio must be (1 or 2, frames), not (9, 2); transpose it"),
        (np.zeros((1, 2, 9)), "array: audio must be (1 or 2, frames), not (1, 2, 9)"),
        (np.zeros((2, 0)), "array: holds no audio"),
        ("song.wav", "array: audio must be floating point in [-1, 1], not <U8; "),
    ],
)
def test_arrays_that_are_not_audio(fakes: list[FakeRuntime], audio: object, message: str) -> None:
    with pytest.raises(AudioError) as caught:
        Separator("htdemucs_tiny").separate_array(audio, RATE)
    assert str(caught.value).startswith(message)
    assert fakes == []


@pytest.mark.usefixtures("fakes")
def test_a_file(tmp_path: Path) -> None:
    separator = Separator("htdemucs_tiny")
    song = write_song(tmp_path / "song.wav", AUDIO)
    whole = separator.separate_file(song)
    expected = separator.separate_array(AUDIO, RATE)
    assert np.array_equal(whole.mixture, AUDIO)
    assert all(np.array_equal(whole.stems[stem], expected.stems[stem]) for stem in STEMS)
    assert whole.warnings == ()


@pytest.mark.usefixtures("fakes")
def test_another_rate(tmp_path: Path) -> None:
    """The mixture has it, too."""
    song = write_song(tmp_path / "song.wav", AUDIO)
    whole = Separator("htdemucs_tiny").separate_file(str(song), stems=["bass"], sample_rate=48_000)
    expected = np.concatenate([*resample([AUDIO], RATE, 48_000)], axis=1)
    assert whole.sample_rate == 48_000
    assert whole.stems["bass"].shape == whole.mixture.shape == expected.shape
    assert np.array_equal(whole.mixture, expected)


def test_errors_before_the_file_is_decoded(fakes: list[FakeRuntime], tmp_path: Path) -> None:
    separator = Separator("htdemucs_tiny")
    song = write_song(tmp_path / "song.wav", AUDIO)
    with pytest.raises(OptionError, match="has no stem 'voice'"):
        separator.separate_file(song, stems=["voice"])
    with pytest.raises(OptionError, match="sample rate 1 is not between"):
        separator.separate_file(song, sample_rate=1)
    with pytest.raises(AudioError, match=r"none\.wav: cannot be opened: No such file"):
        separator.separate_file(tmp_path / "none.wav")
    assert fakes == []


@pytest.mark.usefixtures("fakes")
def test_progress_and_cancelling(tmp_path: Path) -> None:
    song, separator = write_song(tmp_path / "song.wav", AUDIO), Separator("htdemucs_tiny")
    reported: list[float] = []
    separator.separate_file(song, on_progress=reported.append)
    assert (reported[0], reported[-1]) == (0, 1)
    assert reported == sorted(reported)
    cancel = threading.Event()
    with pytest.raises(Cancelled, match="stopped on request"):
        separator.separate_file(song, on_progress=lambda _: cancel.set(), cancel=cancel)
