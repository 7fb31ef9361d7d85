"""Reference networks of the published ``demucs`` package, with random weights.

Fresh networks all but switch their residual branches off (layer scales of 1e-3 and 1e-4, norms that
do nothing). Here these are drawn at random too, so that every weight matters.
"""

from __future__ import annotations

import random
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum, serialize_model
from numpy.typing import NDArray
from omegaconf import OmegaConf

from aistemsplitter_engine.pipeline.separate import Part, separate
from aistemsplitter_engine.runtimes import Runtime
from levels import measure

FloatArray = NDArray[np.float32]
SOURCES = ["drums", "bass", "other", "vocals"]
OFFICIAL: dict[str, Any] = {
    "dconv_mode": 3,
    "bottom_channels": 512,
    "t_layers": 5,
    "t_dropout": 0.02,
    "multi_freqs": [],
    "segment": Fraction(39, 5),
    "t_sparse_attn_window": 400,
}
OFFICIAL_6S = {**OFFICIAL, "bottom_channels": 0}
SMALL: dict[str, Any] = {
    **OFFICIAL, "channels": 8, "bottom_channels": 32, "t_layers": 3, "segment": Fraction(1),
}  # fmt: skip
# Compiled in half the time, where the layers do not matter.
SHALLOW: dict[str, Any] = {
    **SMALL, "depth": 3, "stride": 8, "kernel_size": 16, "dconv_mode": 1, "t_layers": 1,
}  # fmt: skip


def network(
    seed: int = 0, sources: list[str] = SOURCES, *, fresh: bool = False, **arguments: Any
) -> HTDemucs:
    """Return a random network that uses all its weights, or a ``fresh`` one as before training."""
    torch.manual_seed(seed)
    model = HTDemucs(list(sources), **arguments).eval()
    for name, weight in [] if fresh else model.named_parameters():
        if name.endswith(".scale"):
            weight.data.uniform_(0.1, 0.5)
        elif "norm" in name or (".dconv." in name and name.split(".")[-2] in "14"):
            weight.data.add_(torch.randn_like(weight) * 0.2)
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    return model


def save(model: HTDemucs, path: Path) -> Path:
    """Write a checkpoint with Demucs's own writer, as its training does."""
    package = serialize_model(model, OmegaConf.create({"quant": {"diffq": None, "qat": None}}))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_with_checksum(package, path)
    (written,) = path.parent.glob(f"{path.stem}-*{path.suffix}")
    return written


def demucs_separate(
    models: list[HTDemucs], mixture: FloatArray, *, shifts: int = 0, seed: int = 0, **options: Any
) -> FloatArray:
    """Separate (2, n) into (sources, 2, n) with Demucs's own separator."""
    model: Any = models[0]
    if len(models) > 1:
        model = BagOfModels(models, np.eye(len(models)).tolist())
    random.seed(seed)
    wav = torch.from_numpy(mixture)
    ref = wav.mean(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = apply_model(
            model, ((wav - ref.mean()) / (ref.std() + 1e-8))[None], shifts=shifts, **options
        )[0]
    result: FloatArray = (out * (ref.std() + 1e-8) + ref.mean()).numpy()
    return result


def engine_separate(
    runtimes: list[Runtime], mixture: FloatArray, *, shifts: int = 0, seed: int = 0
) -> FloatArray:
    """Separate (2, n) into (sources, 2, n) as a stream; source k comes from a bag's network k."""
    network = runtimes[0].network
    every = tuple(range(len(network.sources)))
    parts = [Part(r, (k,) if len(runtimes) > 1 else every) for k, r in enumerate(runtimes)]
    blocks = [mixture[:, start : start + 50_000] for start in range(0, mixture.shape[1], 50_000)]
    loudness = measure(blocks)
    offsets = network.draw_offsets(len(parts), shifts, seed, loudness.frames, 0.25)
    out = separate(blocks, loudness, parts, offsets, overlap=0.25, batch_size=1)
    return np.concatenate([estimates.sources for estimates in out], axis=2)
