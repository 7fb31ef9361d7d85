"""A RoFormer's configuration: what its weights show, and what its YAML may say."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.roformer.bands import mel_bands
from aistemsplitter_engine.families.roformer.config import Configuration
from aistemsplitter_engine.families.roformer.family import RoFormer
from aistemsplitter_engine.families.roformer.sizes import Sizes, weight_shapes
from aistemsplitter_engine.weights.checkpoint import Checkpoint

Yaml = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]
KIM = Sizes(
    mel=True,
    width=384,
    depth=6,
    layers=(1, 1),
    heads=8,
    head_width=64,
    hidden=1536,
    bands=tuple(stop - start for start, stop in mel_bands(60, 2048, 44_100)),
    stems=1,
    mask_layers=2,
    mask_width=1536,
)
BS = Sizes(False, 32, 2, (1, 2), 4, 8, 64, (2, 3, 4), 3, 1, 128)
KIM_YAML: Yaml = {
    "audio": {"chunk_size": 352800, "dim_f": 1024, "hop_length": 512, "sample_rate": 44100},
    "model": {
        "dim": 384, "depth": 6, "stereo": True, "num_stems": 1, "time_transformer_depth": 1,
        "freq_transformer_depth": 1, "num_bands": 60, "dim_head": 64, "heads": 8,
        "attn_dropout": 0, "ff_dropout": 0, "flash_attn": True, "dim_freqs_in": 1025,
        "sample_rate": 44100, "stft_n_fft": 2048, "stft_hop_length": 441, "stft_win_length": 2048,
        "stft_normalized": False, "mask_estimator_depth": 2,
        "multi_stft_resolution_loss_weight": 1.0, "match_input_audio_length": False,
    },
    "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals"},
    "inference": {"batch_size": 4, "dim_t": 1101, "num_overlap": 2},
}  # fmt: skip
BS_YAML: Yaml = {
    "audio": {"chunk_size": 1000},
    "model": {"stft_n_fft": 16, "stft_win_length": 16, "stft_hop_length": 4},
    "training": {"instruments": ["Vocals", "Drums", "other"]},
}


def of(yaml: Yaml, sizes: Sizes, **more: tuple[int, ...]) -> Configuration:
    return Configuration.of(yaml, {**dict(weight_shapes(sizes)), **more})


def test_the_configuration_of_kim_vocals() -> None:
    config = of(KIM_YAML, KIM)
    assert config.sizes == KIM
    assert sum(KIM.bands) == 1979
    assert config.bands[:3] == ((0, 7), (4, 10), (7, 13))
    assert config.bands[-1] == (895, 1025)
    assert (config.settings.hop, config.settings.segment_frames, config.frames) == (
        441,
        352_800,
        801,
    )
    assert (config.sources, config.settings.complement) == (("vocals",), "instrumental")
    assert config.settings.zero_dc
    assert config.settings.overlap == 0.5
    assert config.numbers == 4 * 1979


def test_a_configuration_with_several_stems() -> None:
    config = of(BS_YAML, BS)
    assert config.sizes == BS
    assert config.bands == ((0, 2), (2, 5), (5, 9))
    assert config.sources == ("vocals", "drums", "other")  # in small letters, as all stems
    assert config.settings.complement is None
    chosen = config.only(["other", "vocals"])
    assert (chosen.sources, chosen.estimators) == (("vocals", "other"), (0, 2))
    again = chosen.only(["other"])
    assert (again.sources, again.estimators) == (("other",), (2,))


@pytest.mark.parametrize(
    ("instruments", "target", "complement"),
    [
        (["karaoke", "other"], "karaoke", "other"),
        (["Vocals", "Instrumental"], "Instrumental", "vocals"),
        (["a", "b", "c"], "b", None),
        (["b"], "b", None),
        (["vocals"], "vocals", "instrumental"),
    ],
)
def test_the_rest_of_a_single_target(
    instruments: list[str], target: str, complement: str | None
) -> None:
    yaml = {**KIM_YAML, "training": {"instruments": instruments, "target_instrument": target}}
    assert of(yaml, KIM).sources == (target.lower(),)
    assert of(yaml, KIM).settings.complement == complement


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("model", {"depth": 12}, "model.depth 12, but its weights have 6"),
        ("model", {"dim": 512}, "model.dim 512, but its weights have 384"),
        ("model", {"num_stems": 2}, "model.num_stems 2"),
        ("model", {"num_bands": 64}, "model.num_bands 64"),
        ("model", {"mlp_expansion_factor": 2}, "mlp_expansion_factor 2, but its weights have 4"),
        ("model", {"dim_freqs_in": 2049}, "model.dim_freqs_in 2049"),
        ("model", {"stft_n_fft": 4096}, "stft_win_length other than"),
        (
            "model",
            {"stft_n_fft": 4096, "stft_win_length": 4096, "dim_freqs_in": 2049},
            "60 mel bands are not those of 2049 bins",
        ),
        ("model", {"stft_hop_length": 2000}, "stft_hop_length 2000, not between"),
        ("model", {"stft_hop_length": "441"}, "stft_hop_length 441, not supported"),
        ("model", {"stft_hop_length": 512}, "chunk_size 352800, not a multiple of"),
        ("model", {"stft_normalized": True}, "stft_normalized True"),
        ("model", {"stereo": False}, "stereo False"),
        ("model", {"zero_dc": "no"}, "zero_dc 'no', not true or false"),
        ("model", {"linear_transformer_depth": 1}, "linear_transformer_depth 1"),
        ("model", {"skip_connection": True}, "skip_connection True"),
        ("model", {"use_pope": True}, "use_pope True"),
        ("model", {"num_residual_streams": 4}, "model.num_residual_streams, which is not"),
        ("audio", {"chunk_size": None}, "no audio.chunk_size"),
        ("audio", {"chunk_size": 10**9}, "chunk_size 1000000000, not supported"),
        ("audio", {"chunk_size": 441}, "chunk_size 441, too short"),
        ("audio", {"sample_rate": 48000}, "audio.sample_rate 48000"),
        ("audio", {"num_channels": 1}, "audio.num_channels"),
        ("inference", {"num_overlap": 0}, "num_overlap 0"),
        ("training", {"instruments": None}, "no training.instruments"),
        ("training", {"target_instrument": "bass"}, "target_instrument bass, which is not among"),
        ("training", {"target_instrument": None}, "names 2 stems, but it has weights for 1"),
        ("training", {"instruments": ["../x"], "target_instrument": "../x"}, "a source '../x'"),
        ("training", {"instruments": ["residual"], "target_instrument": "residual"}, "'residual'"),
    ],
)
def test_unsupported_options_are_rejected_by_name(section: str, values: Yaml, named: str) -> None:
    yaml = copy.deepcopy(KIM_YAML)
    yaml[section].update(values)
    with pytest.raises(ModelError) as caught:
        of(yaml, KIM)
    assert named in str(caught.value)


def test_a_model_without_its_yaml() -> None:
    with pytest.raises(ModelError, match="pass that with --config or config="):
        of({}, KIM)
    with pytest.raises(ModelError, match="section model is not a mapping"):
        of({"model": []}, KIM)


def without(name: str) -> Callable[[Shapes], None]:
    return lambda shapes: shapes.__delitem__(name)


def with_weight(name: str, *shape: int) -> Callable[[Shapes], None]:
    return lambda shapes: shapes.__setitem__(name, shape)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (with_weight("layers.0.2.layers.0.0.norm.gamma", 32), "linear attention"),
        (with_weight("layers.0.0.layers.0.0.to_value_residual_mix.0.weight", 4), "value residuals"),
        (with_weight("layers.0.0.layers.0.0.branch.norm.gamma", 32), "hyper-connections"),
        (with_weight("layers.0.0.layers.0.0.pope_embed.bias", 4, 8), "PoPE"),
        (with_weight("mask_estimators.0.segm.backbone.0.weight", 2), "HyperACE"),
        (with_weight("layers.0.0.layers.0.0.conv.weight", 2), "Conformer"),
        (with_weight("something.else", 2), "something.else, which no supported RoFormer has"),
        (without("layers.1.1.layers.0.0.norm.gamma"), "lacks the weight layers.1.1.layers.0.0"),
        (without("final_norm.gamma"), "lacks the weight layers.0.0.norm.gamma"),
        (without("layers.0.0.layers.0.0.to_gates.weight"), "lacks the weight"),
        (without("mask_estimators.0.to_freqs.0.0.2.weight"), "no hidden layer"),
        (with_weight("band_split.to_features.1.1.weight", 32, 10), "only stereo"),
        (with_weight("layers.1.0.layers.0.0.to_qkv.weight", 96, 33), "has shape (96, 33)"),
        (with_weight("layers.0.0.layers.0.0.to_gates.weight", 5, 32), "5 heads has a width of 32"),
        (with_weight("layers.0.0.layers.0.0.to_qkv.weight", 1 << 40, 32), "not supported"),
    ],
)
def test_other_weights_are_rejected_by_name(change: Callable[[Shapes], None], named: str) -> None:
    shapes = dict(weight_shapes(BS))
    change(shapes)
    with pytest.raises(ModelError) as caught:
        Configuration.of(BS_YAML, shapes)
    assert named in str(caught.value)


def test_a_few_weights_cannot_claim_millions_of_others() -> None:
    masks = "mask_estimators.0.to_freqs.0.0"
    shapes = {
        **dict(weight_shapes(replace(BS, bands=(4,) * 100))),
        **{f"mask_estimators.{stem}.to_freqs.0.0.0.weight": (128, 32) for stem in range(100)},
        **{f"{masks}.{layer}.weight": (128, 128) for layer in range(2, 100, 2)},
    }
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"the checkpoint('s weight| lacks the weight)"):
            Sizes.of(shapes)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_shared_biases_must_be_zero() -> None:
    name = "layers.0.0.layers.0.0.to_qkv.bias"
    yaml = copy.deepcopy(BS_YAML)
    yaml["model"]["use_shared_bias"] = True
    network = RoFormer(of(yaml, BS, linear_62_bias_0=(96,), **{name: (96,)}))
    network.check({name: np.zeros(96)})
    with pytest.raises(ModelError, match="shared biases that are not zero"):
        network.check({name: np.ones(96)})


def test_a_checkpoint_is_opened_by_its_shapes() -> None:
    from aistemsplitter_engine.families import open_network

    read = Checkpoint(BS_YAML, {}, "digest", "roformer", dict(weight_shapes(BS)))
    assert open_network(read).sources == ("vocals", "drums", "other")
    assert open_network(read, ["drums"]).sources == ("drums",)
