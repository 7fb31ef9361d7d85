"""Stems by the packages that published the families, to compare ours with.

These packages need PyTorch. The weights are read by this package's reader, which runs no code from
the file; the network, its transform and the treatment of the track are the reference's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.checks.msst import demix
from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.families.roformer.config import Configuration
from aistemsplitter_engine.pipeline.checkpoints import read_checkpoint
from aistemsplitter_engine.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint of a model.

    Attributes:
        path: Its file.
        config: Content of a RoFormer's YAML, or None.
        names: Names of its stems in place of its own, or None.
        stem: The only stem that it is used for, or None for all.
    """

    path: Path
    config: Mapping[str, Any] | None
    names: Sequence[str] | None
    stem: str | None


def reference_stems(members: Sequence[Member], mixture: FloatArray) -> dict[str, FloatArray]:
    """Separate a mixture (2, n) at 44.1 kHz with the reference of the model's family.

    Raises:
        ModelError: The reference does not take the checkpoint.
    """
    found: dict[str, FloatArray] = {}
    for member in members:
        checkpoint = read_checkpoint(member.path, member.config, member.names)
        sources = open_network(checkpoint).sources
        separate = _by_demucs if checkpoint.family == "htdemucs" else _by_pymss
        stems = dict(zip(sources, separate(checkpoint, mixture), strict=True))
        found |= stems if member.stem is None else {member.stem: stems[member.stem]}
    return found


def _by_demucs(checkpoint: Checkpoint, mixture: FloatArray) -> FloatArray:
    """Return the sources (s, 2, n) as ``demucs --shifts 0`` computes them."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    model = HTDemucs(**checkpoint.arguments)
    _load(model, checkpoint)
    audio = torch.from_numpy(mixture)
    mono = audio.mean(0)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        normal = (audio - mono.mean()) / (mono.std() + 1e-8)
        stems = apply_model(model, normal[None], shifts=0, overlap=0.25)[0]
        result: FloatArray = (stems * (mono.std() + 1e-8) + mono.mean()).numpy()
    return result


def _by_pymss(checkpoint: Checkpoint, mixture: FloatArray) -> FloatArray:
    """Return the sources (s, 2, n) as MSST computes them with the network of ``pymss-core``."""
    import torch
    from pymss_core.modules.bs_roformer.bs_roformer import BSRoformer
    from pymss_core.modules.bs_roformer.mel_band_roformer import MelBandRoformer

    config = Configuration.of(checkpoint.arguments, checkpoint.shapes)
    settings, sizes = config.settings, config.sizes
    arguments = {
        "dim": sizes.width,
        "depth": sizes.depth,
        "stereo": True,
        "num_stems": sizes.stems,
        "time_transformer_depth": sizes.layers[0],
        "freq_transformer_depth": sizes.layers[1],
        "heads": sizes.heads,
        "dim_head": sizes.head_width,
        "stft_n_fft": settings.nfft,
        "stft_win_length": settings.nfft,
        "stft_hop_length": settings.hop,
        "mlp_expansion_factor": sizes.mask_width // sizes.width,
        "zero_dc": settings.zero_dc,
    }
    if sizes.mel:
        hidden = sizes.mask_layers
        made: Any = MelBandRoformer(
            **arguments, num_bands=len(sizes.bands), mlp_hidden_layers=hidden
        )
    else:
        made = BSRoformer(
            **arguments, freqs_per_bands=sizes.bands, mask_estimator_depth=sizes.mask_layers + 1
        )
    _load(made, checkpoint)
    parts = round(1 / (1 - settings.overlap))  # num_overlap of the YAML
    with torch.no_grad():
        return demix(partial(_separate_chunk, made), mixture, settings.segment_frames, parts)


def _separate_chunk(network: torch.nn.Module, chunk: FloatArray) -> FloatArray:
    import torch

    stems = network(torch.from_numpy(np.ascontiguousarray(chunk, np.float32))[None])[0]
    result: FloatArray = (stems if stems.ndim == 3 else stems[None]).numpy()
    return result


def _load(network: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's weights; those that no network computes with may be missing there."""
    import torch

    weights = {
        name: torch.from_numpy(np.array(tensor, np.float32))
        for name, tensor in checkpoint.tensors.items()
    }
    try:
        missing, _ = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the reference does not take the weights: {reason}") from None
    if missing := [name for name in missing if not name.endswith("rotary_embed.freqs")]:
        raise ModelError(f"the reference has weights that the checkpoint lacks: {missing[0]}")
    network.eval()
