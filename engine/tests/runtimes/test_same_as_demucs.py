"""Both runtimes produce the output of Demucs for every network configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openvino import Core

from aistemsplitter_engine.runtimes import Runtime
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime
from aistemsplitter_engine.runtimes.torch import TorchRuntime
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint
from fakes import music
from networks import Bag
from reference import (
    OFFICIAL,
    OFFICIAL_6S,
    SHALLOW,
    SMALL,
    SOURCES,
    FloatArray,
    demucs_separate,
    engine_separate,
    network,
    save,
)

pytestmark = pytest.mark.network
FULL_SCALE = 1e-5
SIX = [*SOURCES, "guitar", "piano"]
HAS_BF16 = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
RUNTIMES: dict[str, Callable[[Checkpoint], Runtime]] = {
    "openvino": lambda checkpoint: OpenVinoRuntime(checkpoint, "float32"),
    "torch": lambda checkpoint: TorchRuntime(checkpoint, "cpu", "float32"),
}
SHAPES: dict[str, dict[str, Any]] = {
    "as htdemucs": {},
    "as htdemucs_6s": {"sources": SIX, "bottom_channels": 0, "channels": 12},
    "shallow, wide strides": {
        "depth": 3, "stride": 8, "kernel_size": 16, "dconv_mode": 1, "t_layers": 2, "t_heads": 4,
    },
    "shallow, narrow": {
        "depth": 2, "dconv_mode": 2, "bottom_channels": 16, "t_layers": 1,
        "segment": Fraction(3, 10),  # its transformer's sequences are long
    },
    "group norms": {"norm_starts": 1, "norm_groups": 2},
    "group norms across the gate's halves": {"norm_starts": 0, "norm_groups": 1},
    "wide context": {"context": 2, "context_enc": 1},
    "no transformer": {"t_layers": 0, "bottom_channels": 0, "channels_time": 12},
    "another transformer": {
        "t_cross_first": True, "t_gelu": False, "t_layer_scale": False, "t_hidden_scale": 2.0,
        "t_weight_pos_embed": 0.5, "t_max_period": 500.0,
    },
    "plain": {"freq_emb": 0, "dconv_mode": 0, "sources": ["voice"]},
    "deeper residuals": {"dconv_depth": 3, "dconv_comp": 4, "emb_scale": 5, "growth": 3},
    "undilated residuals": {"dconv_depth": -2, "segment": Fraction(7, 10)},
}  # fmt: skip


@dataclass(frozen=True)
class Separated:
    """A mixture, checkpoints of networks, and the stems that Demucs makes with these."""

    files: list[Path]
    mixture: FloatArray
    stems: FloatArray


# Separated once for both runtimes.
@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Separated:
    model, mixture = network(**{**SMALL, **SHAPES[request.param]}), music(2.3)
    file = save(model, tmp_path_factory.mktemp("shape") / "model.th")
    return Separated([file], mixture, demucs_separate([model], mixture))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    models = [network(seed, **SHALLOW) for seed in range(4)]
    folder = tmp_path_factory.mktemp("bag")
    return Bag(models, [save(model, folder / f"{k}.th") for k, model in enumerate(models)])


@pytest.fixture(scope="module", params=[0.4, 2.2])
def shifted(request: pytest.FixtureRequest, bag: Bag) -> Separated:
    mixture = music(request.param)
    stems = demucs_separate(bag.models, mixture, shifts=2, seed=7)
    return Separated(bag.paths, mixture, stems)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_shape_of_the_family(shape: Separated, runtime: str) -> None:
    (file,) = shape.files
    got = engine_separate([RUNTIMES[runtime](load_checkpoint(file))], shape.mixture)
    assert got.shape == shape.stems.shape
    peak = np.abs(shape.stems).max()
    assert peak > 0.01  # the output is not silence
    assert np.abs(got - shape.stems).max() < FULL_SCALE * max(1, peak)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_shifts_under_a_seed(shifted: Separated, runtime: str) -> None:
    got = separate_shifted(shifted.files, runtime, shifted.mixture)
    assert np.abs(got - shifted.stems).max() < FULL_SCALE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_single_sample_under_a_seed(bag: Bag, runtime: str) -> None:
    """Its deviation, by which Demucs divides, is NaN."""
    separate_shifted(bag.paths, runtime, music(1 / 44100))


def separate_shifted(files: list[Path], runtime: str, mixture: FloatArray) -> FloatArray:
    ours = [RUNTIMES[runtime](load_checkpoint(file)) for file in files]
    with np.errstate(all="raise"):
        got = engine_separate(ours, mixture, shifts=2, seed=7)
    assert np.isfinite(got).all()
    return got


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not multiply in bf16")
def test_bf16_is_close_to_float32(tmp_path: Path) -> None:
    model = network(**{**SMALL, "channels": 16})
    checkpoint = load_checkpoint(save(model, tmp_path / "model.th"))
    mixture = music(2.0)
    exact = engine_separate([OpenVinoRuntime(checkpoint, "float32")], mixture)
    rounded = engine_separate([OpenVinoRuntime(checkpoint, "bf16")], mixture)
    assert snr(exact, rounded) > 35  # no residual branch is scaled down, see reference.py


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("name", "runtimes"),
    [("htdemucs", list(RUNTIMES)), ("htdemucs_6s", ["openvino"])],
    ids=["htdemucs", "htdemucs_6s"],
)
def test_official_sizes_over_two_segments(name: str, runtimes: list[str], tmp_path: Path) -> None:
    """Shifts and bags are added up outside of the runtimes; the tests above compare both."""
    arguments = {"sources": SIX, **OFFICIAL_6S} if name == "htdemucs_6s" else OFFICIAL
    model, mixture = network(**arguments), music(8)
    checkpoint = load_checkpoint(save(model, tmp_path / "model.th"))
    expected = demucs_separate([model], mixture)
    del model
    for runtime in runtimes:
        got = engine_separate([RUNTIMES[runtime](checkpoint)], mixture)
        assert np.abs(got - expected).max() < FULL_SCALE


@pytest.mark.full
@pytest.mark.skipif(not HAS_BF16, reason="this processor does not multiply in bf16")
def test_bf16_at_the_official_size(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save(network(fresh=True, **OFFICIAL), tmp_path / "model.th"))
    mixture = music(8)
    exact = engine_separate([OpenVinoRuntime(checkpoint, "float32")], mixture)
    rounded = engine_separate([OpenVinoRuntime(checkpoint, "bf16")], mixture)
    assert snr(exact, rounded) > 45


def snr(exact: np.ndarray, rounded: np.ndarray) -> float:
    """Return the signal-to-noise ratio in dB."""
    return 10 * float(np.log10(np.square(exact).sum() / np.square(exact - rounded).sum()))
