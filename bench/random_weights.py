"""Random weights with the official checkpoints' names; needs only NumPy and the repository.

A network's speed does not depend on its weights, so the benchmarks need no download.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.shapes import weight_shapes

# The constructor's arguments of the official htdemucs, where they are not its defaults.
HTDEMUCS: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "dconv_mode": 3,
    "bottom_channels": 512,
    "t_layers": 5,
    "t_dropout": 0.02,
    "multi_freqs": [],
    "segment": Fraction(39, 5),
    "t_sparse_attn_window": 400,
}


def random_weights(arguments: dict[str, Any], seed: int = 0) -> dict[str, NDArray[np.float16]]:
    """Return random weights: layers as PyTorch initialises them, the rest non-negligible."""
    rng = np.random.default_rng(seed)

    def draw(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if name.endswith(".scale"):  # of residual branches: about as training leaves them
            return rng.normal(0, 0.1, shape)
        if "embedding" in name:
            return rng.normal(0, 0.1, shape)
        if len(shape) > 1:
            return rng.uniform(-1, 1, shape) / np.sqrt(prod(shape[1:]))
        return rng.normal(1.0 if name.endswith("weight") else 0.0, 0.1, shape)  # norms and biases

    shapes = weight_shapes(Configuration.from_arguments(arguments))
    return {name: draw(name, shape).astype(np.float16) for name, shape in shapes}
