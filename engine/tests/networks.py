"""Small real networks in files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from safetensors.torch import save_file

import reference
from aistemsplitter_engine.weights.catalogue import MODELS

SMALL = reference.SHALLOW


def write_safetensors(model: reference.HTDemucs, path: Path) -> Path:
    """Write a model of ``reference.network(**SMALL)`` in the hub's layout."""
    arguments = {**SMALL, "sources": model.sources}
    segment = Fraction(arguments["segment"])
    arguments["segment"] = {
        "_type": "fraction",
        "numerator": segment.numerator,
        "denominator": segment.denominator,
    }
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(arguments),
    }
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata)
    return path


@dataclass(frozen=True)
class Bag:
    """Files of four networks with different weights that together are htdemucs_ft."""

    models: list[reference.HTDemucs]
    paths: list[Path]


def write_bag(folder: Path) -> Bag:
    """Write a bag; set ``AISTEMSPLITTER_WEIGHTS_PATH`` to its folder to use it."""
    models = [reference.network(seed, **SMALL) for seed in range(4)]
    paths = [folder / f"{file.signature}.safetensors" for file in MODELS["htdemucs_ft"].files]
    for model, path in zip(models, paths, strict=True):
        write_safetensors(model, path)
    return Bag(models, paths)
