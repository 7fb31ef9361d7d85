"""RoFormers' checkpoints in every layout load exactly; a hostile one does not run."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file, save_model

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint, parse_checkpoint
from roformers import BS, MEL, config, network, save

YAML = config(BS, chunk=64 * 40)
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    tensors: State = network(BS).state_dict()
    return tensors


def written(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def assert_same(checkpoint: Checkpoint, state: State) -> None:
    assert checkpoint.family == "roformer"
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == checkpoint.shapes
    assert sorted(checkpoint.tensors) == sorted(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(checkpoint.tensors[name], tensor.numpy())


@pytest.mark.parametrize("key", [None, "state_dict", "state", "model_state_dict"])
def test_every_layout(key: str | None, state: State) -> None:
    content = state if key is None else {"epoch": 3, "optimizer": {"lr": 1e-5}, key: state}
    checkpoint = parse_checkpoint(written(content), config=YAML)
    assert_same(checkpoint, state)
    assert checkpoint.arguments == YAML
    assert open_network(checkpoint).sources == ("stem 0",)


def test_half_precision(state: State) -> None:
    half = {name: tensor.half() for name, tensor in state.items()}
    checkpoint = parse_checkpoint(written(half), config=YAML)
    assert_same(checkpoint, half)
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {np.dtype(np.float16)}


def test_safetensors_with_the_config_beside_or_inside(state: State, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    whole = {name: tensor.clone() for name, tensor in sorted(state.items())}
    save_file(whole, path)
    assert_same(load_checkpoint(path, config=YAML), whole)
    save_file(whole, path, {"config": yaml.safe_dump(YAML)})
    inside = load_checkpoint(path)
    assert inside.arguments == YAML
    assert load_checkpoint(path, config=YAML).arguments == YAML
    other = config({**BS, "stft_hop_length": 32}, chunk=64 * 40)
    with pytest.raises(ModelError, match="its metadata has another config than the one given"):
        load_checkpoint(path, config=other)


def test_safetensors_with_the_shared_frequencies_once(tmp_path: Path) -> None:
    model = network(BS)
    path = tmp_path / "model.safetensors"
    save_model(model, str(path))
    read = load_checkpoint(path, config=YAML)
    assert len([name for name in read.shapes if name.endswith("rotary_embed.freqs")]) == 2
    whole = parse_checkpoint(written(model.state_dict()), config=YAML)
    ours, expected = (open_network(c).prepare(c.tensors, np) for c in (read, whole))
    for got, wanted in zip(ours.pairs, expected.pairs, strict=True):
        for axis in (0, 1):
            ((a,), (b,)) = got[axis].layers, wanted[axis].layers
            np.testing.assert_array_equal(a.rotation.cos, b.rotation.cos)


def test_a_config_is_part_of_the_digest(state: State) -> None:
    data = written(state)
    digests = {
        parse_checkpoint(data, config=made).digest
        for made in (None, YAML, config(BS, chunk=64 * 50), config(BS, chunk=64 * 40))
    }
    assert len(digests) == 3


def test_shapes_are_known_before_the_weights_are_read(state: State) -> None:
    damaged = {**state, "final_norm.gamma": torch.full((24,), np.nan)}
    checkpoint = parse_checkpoint(written(damaged), config=YAML, lazy=True)
    assert open_network(checkpoint).sources == ("stem 0",)
    with pytest.raises(ModelError, match=r"final_norm.gamma has infinite or NaN weights"):
        len(checkpoint.tensors)


def test_mel_and_bs_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    path = save(network(MEL), tmp_path / "mel.ckpt")
    opened: Any = open_network(load_checkpoint(path, config=config(MEL, chunk=126 * 30)))
    assert opened.config.sizes.mel
    with pytest.raises(ModelError, match="freqs_per_bands, which is not supported"):
        open_network(load_checkpoint(path, config=YAML))


def test_a_hostile_checkpoint_does_not_run(state: State, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    for content in (
        {**state, "attack": Attack()},
        {"state_dict": state, "hyper_parameters": Attack()},
        OrderedDict(attack=Attack(), **state),
    ):
        with pytest.raises(ModelError, match=r"refers to \w+\.system, which no checkpoint needs"):
            parse_checkpoint(written(content), config=YAML)
    assert not marker.exists()


def test_53_stems_of_62_bands() -> None:
    """The largest public model has 13,594 weights."""
    tensor = torch.zeros(1).half()
    names = [
        f"mask_estimators.{stem}.to_freqs.{band}.0.{layer}.{kind}"
        for stem in range(53)
        for band in range(62)
        for layer in (0, 2)
        for kind in ("weight", "bias")
    ]
    many = {name: tensor.clone() for name in ("band_split.to_features.0.0.gamma", *names)}
    assert len(parse_checkpoint(written(many), config=YAML, lazy=True).shapes) == len(many)


def test_a_config_for_htdemucs_is_rejected() -> None:
    from aistemsplitter_engine.weights.store import TINY

    with pytest.raises(ModelError, match="is an HTDemucs, which has no config"):
        load_checkpoint(TINY, config=YAML)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "pipe"])
def test_paths_that_are_not_files(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match=f"{path} cannot be read: it is not a file"):
        load_checkpoint(tmp_path / path)
