"""Validation of a checkpoint's network configuration."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.shapes import check_weights, weight_shapes
from reference import OFFICIAL, SMALL, SOURCES, network


def configuration(**arguments: Any) -> Configuration:
    return Configuration.from_arguments({"sources": SOURCES, **arguments})


def test_the_official_sizes() -> None:
    config = configuration(**OFFICIAL)
    assert config.segment_frames == 343_980
    assert (config.bins, config.spectrogram_frames, config.hop) == (2048, 336, 1024)
    assert config.waveform_lengths == (343_980, 85_995, 21_499, 5_375, 1_344)
    assert (config.bottom_bins, config.transformer_width) == (8, 512)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("cac", False),
        ("wiener_iters", 1),
        ("multi_freqs", [0.25]),
        ("t_emb", "cape"),
        ("t_sparse_self_attn", True),
        ("t_norm_out", False),
        ("use_train_segment", False),
        ("samplerate", 48000),
        ("audio_channels", 1),
        ("nfft", 2048),
        ("depth", 5),
        ("depth", 10**9),
        ("channels", 0),
        ("channels", "many"),
        ("segment", 0),
        ("segment", Fraction(10**9)),
        ("segment", "long"),
        ("kernel_size", 7),
        ("t_heads", 7),
        ("norm_groups", 0),
    ],
)
def test_another_network_is_rejected_by_name(argument: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"{argument}|attention heads|arguments|Hz|channels"):
        configuration(**{**OFFICIAL, argument: value})


@pytest.mark.parametrize(
    "sources",
    [
        [],
        ["a", "a"],
        ["../../etc/passwd"],
        ["a/b"],
        [""],
        ["instrumental"],
        [".hidden"],
        None,
        5,
        ["a", "A"],
        ["Residual"],
        ["con"],
    ],
)
def test_sources_that_are_not_file_names_are_rejected(sources: Any) -> None:
    with pytest.raises(ModelError):
        Configuration.from_arguments({"sources": sources})


def test_every_weight_is_known() -> None:
    model = network(**SMALL, norm_starts=2)
    config = configuration(**SMALL, norm_starts=2)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    assert dict(weight_shapes(config)) == expected
    check_weights(config, model.state_dict())


def test_a_missing_weight_and_a_wrong_shape_are_named() -> None:
    config, weights = configuration(**SMALL), dict(network(**SMALL).state_dict())
    weights["freq_emb.embedding.weight"] = weights["freq_emb.embedding.weight"][:-1]
    with pytest.raises(ModelError, match=r"freq_emb.embedding.weight has shape \(511, 8\)"):
        check_weights(config, weights)
    del weights["tdecoder.3.conv_tr.bias"]
    with pytest.raises(ModelError, match=r"lacks the weight tdecoder\.3\.conv_tr\.bias"):
        check_weights(config, weights)
