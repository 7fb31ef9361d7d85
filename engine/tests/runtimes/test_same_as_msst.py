"""Both runtimes produce the output of the reference RoFormers, for networks of every shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from openvino import Core

from aistemsplitter_engine.checks.msst import demix
from aistemsplitter_engine.families.roformer.level import Unchanged
from aistemsplitter_engine.pipeline.separate import Part, separate
from aistemsplitter_engine.runtimes import Runtime
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime
from aistemsplitter_engine.runtimes.torch import TorchRuntime
from aistemsplitter_engine.weights.checkpoint import Checkpoint
from fakes import music
from roformers import BS, KIM, MEL, Config, FloatArray, checkpoint, config, network, separate_chunk

pytestmark = pytest.mark.network
FULL_SCALE = 1e-5
HAS_BF16 = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
RUNTIMES: dict[str, Callable[..., Runtime]] = {
    "openvino": lambda read, sources=None: OpenVinoRuntime(read, "float32", sources),
    "torch": lambda read, sources=None: TorchRuntime(read, "cpu", "float32", sources),
}
WHOLE_BANDS = [2] * 24 + [4] * 12 + [12] * 8 + [24] * 8 + [48] * 8 + [128, 129]
# The network and the chunk's length.
SHAPES: dict[str, tuple[Config, int]] = {
    "BS, one layer": ({**BS, "depth": 1}, 64 * 40),
    "BS, deep, three stems": ({**BS, "depth": 12, "num_stems": 3}, 64 * 20),
    "BS, chunk and hop unrelated": ({**BS, "stft_hop_length": 55}, 55 * 40 + 17),
    "BS, deeper masks": ({**BS, "mask_estimator_depth": 3, "mlp_expansion_factor": 2}, 64 * 20),
    "BS, two layers a transformer, with 0 Hz": (
        {**BS, "time_transformer_depth": 2, "freq_transformer_depth": 3, "zero_dc": False},
        64 * 20,
    ),
    "BS, six stems of 62 bands at hop 512": (
        {
            **BS, "num_stems": 6, "dim": 16, "depth": 1, "freqs_per_bands": WHOLE_BANDS,
            "stft_n_fft": 2048, "stft_win_length": 2048, "stft_hop_length": 512,
        },
        512 * 9,
    ),
    "Mel, two stems": ({**MEL, "num_stems": 2}, 126 * 30),
    "Mel, shallow masks": ({**MEL, "mask_estimator_depth": 1, "depth": 3}, 126 * 20),
    "Mel, 60 bands at hop 441": ({**KIM, "dim": 16, "depth": 1, "heads": 2}, 441 * 12),
}  # fmt: skip


@dataclass(frozen=True)
class Separated:
    """A chunk, a network's checkpoint, and the sources that the reference makes of the chunk."""

    read: Checkpoint
    chunk: FloatArray
    sources: FloatArray


# Separated once for both runtimes.
@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Separated:
    arguments, length = SHAPES[request.param]
    model = network(arguments)
    path = tmp_path_factory.mktemp("shape") / "model.ckpt"
    chunk = music(1)[:, :length]
    read = checkpoint(model, path, config(arguments, chunk=length))
    return Separated(read, chunk, separate_chunk(model, chunk))


def run(runtime: Runtime, chunk: FloatArray, sources: Sequence[int]) -> FloatArray:
    arrays = runtime.arrays
    segment = arrays.empty(*chunk.shape)
    arrays.write(segment, lambda out: np.copyto(out, chunk))
    return arrays.download(runtime([segment], tuple(sources)))()[0]


def separate_track(runtime: Runtime, mixture: FloatArray, overlap: float) -> FloatArray:
    blocks = [mixture[:, start : start + 5000] for start in range(0, mixture.shape[1], 5000)]
    part = Part(runtime, tuple(range(len(runtime.network.sources))))
    out = separate(
        blocks, Unchanged(mixture.shape[1]), [part], [[0]], overlap=overlap, batch_size=1
    )
    return np.concatenate([estimates.sources for estimates in out], axis=2)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_shape_of_the_family(shape: Separated, runtime: str) -> None:
    got = run(RUNTIMES[runtime](shape.read), shape.chunk, range(len(shape.sources)))
    assert got.shape == shape.sources.shape
    assert np.abs(shape.sources).max() > 0.005  # the output is not silence
    assert np.abs(got - shape.sources).max() < FULL_SCALE


@pytest.fixture(scope="module")
def three_stems(tmp_path_factory: pytest.TempPathFactory) -> Separated:
    arguments, length = {**BS, "num_stems": 3}, 64 * 30
    model, chunk = network(arguments), music(1)[:, :length]
    path = tmp_path_factory.mktemp("stems") / "model.ckpt"
    read = checkpoint(model, path, config(arguments, chunk=length, stems=["a", "b", "c"]))
    return Separated(read, chunk, separate_chunk(model, chunk))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_only_the_wanted_mask_estimators_run(three_stems: Separated, runtime: str) -> None:
    loaded = RUNTIMES[runtime](three_stems.read, ["c", "b"])
    assert loaded.network.sources == ("b", "c")
    got = run(loaded, three_stems.chunk, [1, 0])
    assert np.abs(got - three_stems.sources[[2, 1]]).max() < FULL_SCALE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_silence_gives_silence(three_stems: Separated, runtime: str) -> None:
    silence = np.zeros_like(three_stems.chunk)
    with np.errstate(all="raise"):
        got = run(RUNTIMES[runtime](three_stems.read), silence, range(3))
    assert not got.any()


@pytest.mark.parametrize("level", [1e-6, 1e6])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_result_scales_with_the_input(
    three_stems: Separated, runtime: str, level: float
) -> None:
    chunk = three_stems.chunk * np.float32(level)
    got = run(RUNTIMES[runtime](three_stems.read), chunk, range(3)) / np.float32(level)
    assert np.abs(got - three_stems.sources).max() < FULL_SCALE


@pytest.mark.parametrize("frames", [1, 100, 1279, 2560, 2561, 5121, 12_011])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tracks_as_by_demix(
    frames: int, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    length = 64 * 40
    model, mixture = network(BS), music(1)[:, :frames]
    path = tmp_path_factory.mktemp("track") / "model.ckpt"
    loaded = RUNTIMES[runtime](checkpoint(model, path, config(BS, chunk=length)))
    got = separate_track(loaded, mixture, loaded.network.overlap)
    expected = demix(partial(separate_chunk, model), mixture, length, 2)
    assert got.shape == (1, *mixture.shape)
    assert np.abs(got - expected).max() < FULL_SCALE


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not multiply in bf16")
def test_bf16_is_close_to_float32(three_stems: Separated) -> None:
    got = run(OpenVinoRuntime(three_stems.read, "bf16"), three_stems.chunk, range(3))
    assert snr(three_stems.sources, got) > 35


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["Kim", "BS of four stems"])
def test_public_sizes(name: str, tmp_path: Path) -> None:
    """With the public models' layers, but chunks of 1 s: 8 and 11 s take half an hour."""
    length = 44_100
    if name == "Kim":
        arguments = KIM
    else:
        arguments = {
            "dim": 384, "depth": 8, "num_stems": 4, "heads": 8, "dim_head": 64,
            "freqs_per_bands": WHOLE_BANDS, "stft_hop_length": 441, "mlp_expansion_factor": 2,
        }  # fmt: skip
    model, chunk = network(arguments), music(length / 44_100 + 1)[:, :length]
    read = checkpoint(model, tmp_path / "model.ckpt", config(arguments, chunk=length))
    expected = separate_chunk(model, chunk)
    del model
    for runtime in RUNTIMES.values():
        got = run(runtime(read), chunk, range(len(expected)))
        assert np.abs(got - expected).max() < FULL_SCALE
    if HAS_BF16:
        rounded = run(OpenVinoRuntime(read, "bf16"), chunk, range(len(expected)))
        assert snr(expected, rounded) > 35


def snr(exact: FloatArray, rounded: FloatArray) -> float:
    """Return the signal-to-noise ratio in dB."""
    return 10 * float(np.log10(np.square(exact).sum() / np.square(exact - rounded).sum()))
