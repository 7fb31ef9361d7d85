"""Reference RoFormers of the published ``pymss-core`` package, with random weights.

Fresh networks have gains of 1, biases near 0 and hardly any mask. Here these are drawn at random,
too, so that every weight matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymss_core.modules.bs_roformer.bs_roformer import BSRoformer
from pymss_core.modules.bs_roformer.mel_band_roformer import MelBandRoformer

from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint

FloatArray = NDArray[np.float32]
Config = dict[str, Any]
BS: Config = {
    "dim": 24, "depth": 2, "heads": 2, "dim_head": 8, "stft_n_fft": 256, "stft_win_length": 256,
    "stft_hop_length": 64, "freqs_per_bands": [1, 2, 6, 20, 40, 60],
}  # fmt: skip
MEL: Config = {
    "dim": 24, "depth": 2, "heads": 2, "dim_head": 8, "stft_n_fft": 512, "stft_win_length": 512,
    "stft_hop_length": 126, "num_bands": 10,
}  # fmt: skip
KIM: Config = {
    "dim": 384, "depth": 6, "heads": 8, "dim_head": 64, "stft_hop_length": 441, "num_bands": 60,
    "mask_estimator_depth": 2,
}  # fmt: skip
_COMMON: Config = {
    "stereo": True, "num_stems": 1, "time_transformer_depth": 1, "freq_transformer_depth": 1,
    "zero_dc": True, "mask_estimator_depth": 2, "flash_attn": True, "attn_dropout": 0.0,
    "ff_dropout": 0.0,
}  # fmt: skip


def config(
    model: Config, *, chunk: int, stems: list[str] | None = None, target: str | None = None
) -> Config:
    """Return the content of a model's YAML as in MSST."""
    merged = {**_COMMON, **model}
    names = stems or [f"stem {n}" for n in range(merged["num_stems"])]
    return {
        "audio": {"chunk_size": chunk, "sample_rate": 44100, "num_channels": 2, "hop_length": 7},
        "model": merged,
        "training": {"instruments": names, "target_instrument": target, "use_amp": True},
        "inference": {"batch_size": 1, "num_overlap": 2, "dim_t": 1101},
    }


def network(model: Config, seed: int = 0) -> Any:
    """Return a random network that uses all its weights."""
    torch.manual_seed(seed)
    arguments = {**_COMMON, **model}
    if "num_bands" in model:
        # MSST has as many hidden layers as the depth says.
        hidden = arguments["mask_estimator_depth"]
        made: Any = MelBandRoformer(**arguments, mlp_hidden_layers=hidden)
    else:
        made = BSRoformer(**arguments)
    for name, weight in made.named_parameters():
        if name.endswith("gamma"):
            weight.data.add_(torch.randn_like(weight) * 0.2)
        elif name.endswith("bias"):
            weight.data.add_(torch.randn_like(weight) * 0.1)
    return made.eval()


def save(model: Any, path: Path) -> Path:
    """Write a bare state dict, as MSST's training does."""
    torch.save(model.state_dict(), path)
    return path


def checkpoint(model: Any, path: Path, yaml: Config) -> Checkpoint:
    """Write a network and read it with its YAML."""
    return load_checkpoint(save(model, path), config=yaml)


def separate_chunk(model: Any, chunk: FloatArray) -> FloatArray:
    """Separate (2, n) into (sources, 2, n) with the reference."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, threads of small networks wait for each other
    try:
        with torch.no_grad():
            out = model(torch.from_numpy(chunk)[None])[0]
    finally:
        torch.set_num_threads(threads)
    result: FloatArray = (out if out.ndim == 3 else out[None]).numpy()
    return result
