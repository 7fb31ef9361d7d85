"""Fourier transforms, compared with those of Demucs and PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.transform import analyse, synthesize
from fakes import music
from reference import SMALL, SOURCES, network

CONFIG = Configuration.from_arguments({"sources": SOURCES, **SMALL})


def segment() -> np.ndarray:
    return music(2.0)[:, : CONFIG.segment_frames]


def test_analysis_equals_demucs() -> None:
    model = network(**SMALL)
    audio = torch.from_numpy(segment())[None]
    expected = torch.view_as_real(model._spec(audio).transpose(2, 3)).flatten(-2)
    inputs = analyse(CONFIG, segment())
    scale = inputs.spectrogram_scale
    got = inputs.spectrogram * (scale.std + 1e-5) + scale.mean
    assert np.abs(got - expected.numpy()).max() < 1e-5 * np.abs(got).max()
    assert abs(scale.mean - expected.mean().item()) < 1e-7
    assert abs(scale.std / expected.std().item() - 1) < 1e-5


def test_synthesis_equals_demucs() -> None:
    model = network(**SMALL)
    rng = np.random.default_rng(0)
    shape = (1, 4 * 2, CONFIG.spectrogram_frames, 2 * CONFIG.bins)
    spectrogram = rng.standard_normal(shape).astype(np.float32)
    waveform = rng.standard_normal((1, 8, 1, CONFIG.segment_frames)).astype(np.float32)
    inputs = analyse(CONFIG, segment())
    s, w = inputs.spectrogram_scale, inputs.waveform_scale
    parts = torch.from_numpy(spectrogram * s.std + s.mean).unflatten(-1, (-1, 2))
    image = torch.view_as_complex(parts).transpose(2, 3).unflatten(1, (4, 2))
    expected = model._ispec(image, CONFIG.segment_frames).numpy()[0]
    expected = expected + waveform.reshape(4, 2, -1) * w.std + w.mean
    got = np.empty((4, 2, CONFIG.segment_frames), np.float32)
    synthesize(CONFIG, inputs, spectrogram, waveform, (0, 1, 2, 3), got)
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()
    chosen = np.empty_like(got[:2])
    synthesize(CONFIG, inputs, spectrogram, waveform, (3, 1), chosen)
    assert np.array_equal(chosen, got[[3, 1]])


def test_analysis_and_synthesis_are_inverse() -> None:
    inputs = analyse(CONFIG, segment())
    one = Configuration(sources=("mixture",), segment=CONFIG.segment)
    nothing = np.full_like(inputs.waveform, -inputs.waveform_scale.mean)
    nothing /= inputs.waveform_scale.std
    back = np.empty((1, *segment().shape), np.float32)
    synthesize(one, inputs, inputs.spectrogram, nothing, (0,), back)
    inner = slice(4096, -4096)  # frames at the edges are omitted
    error = np.abs(back[0] - segment())[:, inner].max()
    assert error < 1e-3 * np.abs(segment()).max()  # the highest bin is omitted


def test_silence_has_a_finite_spectrum() -> None:
    inputs = analyse(CONFIG, np.zeros((2, CONFIG.segment_frames), np.float32))
    assert not inputs.spectrogram.any()
    assert not inputs.waveform.any()
