"""Audio in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray
from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.errors import AudioError
from stem_files import RATE


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((10, 2)), RATE, "audio must be (1 or 2, frames), not (10, 2); transpose it"),
        (np.zeros((3, 10)), RATE, "audio must be (1 or 2, frames), not (3, 10)"),
        (np.zeros(10), 44_100.5, "sample rate 44100.5 is not a whole number"),
        (np.zeros(10), "44100", "sample rate 44100 is not a whole number"),
        (np.zeros(10), np.float32(-1), "a sample rate of -1 Hz is not supported"),
    ],
)
def test_invalid_arrays(samples: FloatArray, rate: Any, message: str) -> None:
    with pytest.raises(AudioError) as caught:
        AudioArray(samples, rate)
    assert str(caught.value) == f"array: {message}"


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.float64, np.longdouble])
def test_arrays_of_any_floating_point(dtype: Any) -> None:
    audio = np.linspace(-1, 1, 9).astype(dtype)
    (block,) = AudioArray(audio, RATE).blocks()
    assert block.dtype == np.float32
    assert np.allclose(block[0], np.linspace(-1, 1, 9), atol=1e-3)
