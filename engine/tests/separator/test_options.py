"""Options of a separator and of its calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.errors import OptionError
from fakes import FakeRuntime, music
from stem_blocks import CountingSource


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": -1}, "shifts -1 is not between 0 and 100"),
        ({"shifts": 101}, "shifts 101 is not between 0 and 100"),
        ({"overlap": 1.0}, "overlap 1 is not between 0 and 0.99"),
        ({"overlap": -0.01}, "overlap -0.01 is not between 0 and 0.99"),
        ({"overlap": float("nan")}, "overlap nan is not between 0 and 0.99"),
        ({"batch_size": 0}, "batch size 0 is not between 1 and 1024"),
        (
            {"device": "tpu"},
            "device 'tpu' is not one of auto, cpu, cuda, mps, or a GPU such as cuda:1",
        ),
        ({"precision": "int8"}, "precision 'int8' is not one of auto, float32, bf16, float16"),
        ({"shifts": 1.5}, "shifts 1.5 is not a whole number"),
        ({"shifts": "2"}, "shifts 2 is not a whole number"),
        ({"seed": np.float64(0.5)}, "seed 0.5 is not a whole number"),
        ({"overlap": "half"}, "overlap 'half' is not a number"),
        ({"batch_size": float("nan")}, "batch size nan is not a whole number"),
    ],
)
def test_invalid_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Separator("htdemucs_tiny", **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stems": ["voice"]}, "htdemucs_tiny has no stem 'voice'; it has drums, bass, other"),
        ({"stems": []}, "no stem was requested"),
        ({"sample_rate": 999}, "sample rate 999 is not between 1000 and 768000 Hz"),
        ({"sample_rate": 0}, "sample rate 0 is not between"),
        ({"format": "ogg"}, "the format 'ogg' is not one of wav, flac, mp3, opus, m4a"),
        ({"bit_depth": 8}, "wav has a bit depth of 16 or 24 or 32, not 8"),
        ({"clip": "soft"}, "clip 'soft' is not one of rescale, clamp, none"),
    ],
)
def test_invalid_options_of_a_call(
    fakes: list[FakeRuntime], tmp_path: Path, options: dict[str, object], message: str
) -> None:
    """The call raises before the song is read, a network loaded or a file created."""
    separator, source = Separator("htdemucs_tiny"), CountingSource(music(1))
    with pytest.raises(OptionError) as caught:
        separator.split(source, tmp_path / "out", **options)
    assert str(caught.value).startswith(message)
    if not {"format", "bit_depth", "clip"} & options.keys():
        with pytest.raises(OptionError) as caught:
            separator.separate(source, **options)
        assert str(caught.value).startswith(message)
    assert source.read == 0
    assert fakes == []
    assert list(tmp_path.iterdir()) == []


def test_numpy_numbers(fakes: list[FakeRuntime], tmp_path: Path) -> None:
    """They give the same stems as Python's, and can be written to the JSON journal."""
    options = {"shifts": 2, "seed": 7, "overlap": 0.5, "batch_size": 2}
    likewise = {
        "shifts": np.int64(2),
        "seed": np.uint32(7),
        "overlap": np.float32(0.5),
        "batch_size": 2.0,
    }
    audio = music(3).astype(np.float64)
    plain = Separator("htdemucs_tiny", **options).split(
        AudioArray(audio, 48_000), tmp_path / "a", sample_rate=44_100, bit_depth=24
    )
    numpy = Separator("htdemucs_tiny", **likewise).split(
        AudioArray(audio, np.float64(48_000)),
        tmp_path / "b",
        stems=np.array([*plain.stems]),
        sample_rate=np.int64(44_100),
        bit_depth=np.int16(24),
    )
    assert fakes
    for stem, path in plain.stems.items():
        assert numpy.stems[stem].read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("fakes")
def test_model_and_stems() -> None:
    separator = Separator("htdemucs_tiny")
    assert separator.model == "htdemucs_tiny"
    assert separator.stems[:6] == ("drums", "bass", "other", "vocals", "instrumental", "residual")
    assert separator.choose(None) == separator.stems[:4]
