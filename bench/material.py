"""Inputs of the benchmarks: models with random weights, songs of any length, and our command."""

from __future__ import annotations

import json
import os
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.weights.catalogue import MODELS
from random_weights import HTDEMUCS, random_weights

SONGS = Path(__file__).parents[1] / "songs"


def write_th(folder: Path) -> Path:
    """Write a random htdemucs with Demucs's own writer, as ``folder/SIGNATURE-CHECKSUM.th``."""
    import torch
    from demucs.htdemucs import HTDemucs
    from demucs.states import save_with_checksum

    state = {name: torch.from_numpy(weight) for name, weight in random_weights(HTDEMUCS).items()}
    package = {"klass": HTDemucs, "args": (), "kwargs": HTDEMUCS, "state": state}
    save_with_checksum(package, folder / "random.th")
    (written,) = folder.glob("random-*.th")
    return written


def write_hub_files(folder: Path, model: str) -> None:
    """Write a model's files in the hub's layout, each with different random weights."""
    from safetensors.numpy import save_file

    segment = HTDEMUCS["segment"]
    fraction = {
        "_type": "fraction",
        "numerator": segment.numerator,
        "denominator": segment.denominator,
    }
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps({**HTDEMUCS, "segment": fraction}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for seed, file in enumerate(MODELS[model].files):
        path = folder / f"{file.signature}.safetensors"
        save_file(random_weights(HTDEMUCS, seed), path, metadata)


def write_song(path: Path, seconds: float) -> Path:
    """Write a 16-bit WAV that repeats the sample song with varying channels and levels."""
    left = round(seconds * 44100)
    rng = np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        while left:
            for block in AudioFile(SONGS / "sample" / "mixture.flac").blocks():
                block = block[rng.permutation(2), :left] * rng.uniform(0.3, 1)
                file.writeframesraw((block.T * 32767).astype("<i2").tobytes())
                left -= block.shape[1]
    return path


def environment(folder: Path) -> dict[str, str]:
    """Return an environment with models and caches in the benchmark's folder."""
    return {
        "AISTEMSPLITTER_WEIGHTS_PATH": str(folder / "weights"),
        "AISTEMSPLITTER_MODELS_DIR": str(folder / "models"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def split_command(
    song: Path, out: Path, model: str | Path, precision: str, stems: Sequence[str] = ()
) -> list[str]:
    """Return the command that splits a song on the CPU."""
    command = os.fspath(Path(sys.executable).parent / "aistemsplitter-local")
    arguments = ["split", song, "-o", out, "--model", model, "--precision", precision]
    if stems:
        arguments += ["--stems", ",".join(stems)]
    return [command, *map(str, arguments), "--device", "cpu"]
