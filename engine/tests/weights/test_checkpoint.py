"""Checkpoints written by Demucs load exactly; other files give an error that names their kind."""

from __future__ import annotations

import gc
import hashlib
import io
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.states import get_state

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint, parse_checkpoint
from aistemsplitter_engine.weights.store import TINY

Write = Callable[..., Path]


def assert_same(checkpoint: Checkpoint, state: dict[str, torch.Tensor]) -> None:
    assert list(checkpoint.tensors) == list(state)
    for name, tensor in state.items():
        loaded = checkpoint.tensors[name]
        assert loaded.shape == tuple(tensor.shape)
        assert loaded.flags.c_contiguous
        assert loaded.flags.writeable
        np.testing.assert_array_equal(loaded, tensor.numpy())


def test_demucs_half_precision(package: dict[str, Any], write_th: Write) -> None:
    path = write_th(package)
    checkpoint = load_checkpoint(path)
    assert_same(checkpoint, package["state"])
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {np.dtype(np.float16)}
    assert checkpoint.arguments == package["kwargs"]
    assert checkpoint.arguments["segment"] == Fraction(39, 5)
    assert checkpoint.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stem.endswith(
        checkpoint.digest[:8]
    )  # the file name that Demucs chose has the same digest


def test_sources_by_position(write_th: Write, package: dict[str, Any]) -> None:
    rest = {k: v for k, v in package["kwargs"].items() if k != "sources"}
    positional = {**package, "args": (package["kwargs"]["sources"],), "kwargs": rest}
    assert load_checkpoint(write_th(positional)).arguments == package["kwargs"]
    for wrong in ({"args": (["a"], 2)}, {"args": (["a"],), "kwargs": {"sources": ["b"]}}):
        with pytest.raises(ModelError, match="args"):
            load_checkpoint(write_th({**package, **wrong}))


def test_a_training_run_in_full_precision_with_metrics(
    demucs_model: HTDemucs, package: dict[str, Any], write_th: Write
) -> None:
    metrics = {"nsdr": np.float64(8.5), "valid": [np.float32(1), {"loss": 0.25}], "best": None}
    state = get_state(demucs_model, None, half=False)
    checkpoint = load_checkpoint(write_th({**package, "state": state, "metrics": metrics}))
    assert_same(checkpoint, state)
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {np.dtype(np.float32)}


def test_an_ordered_state_of_parameters_and_views(package: dict[str, Any], write_th: Write) -> None:
    whole = torch.randn(6, 8)
    state = OrderedDict(
        transposed=whole.t(),
        every_other=whole[::2, 1::3],
        tail=whole[4:],
        parameter=torch.nn.Parameter(torch.randn(2, 3).t()),
        scalar=torch.tensor(2.5),
        one_by_one=torch.as_strided(torch.randn(3), (1, 3), (999, 1)),
    )
    state["bfloat"] = torch.randn(4, 3).bfloat16().t()
    state["double"] = torch.randn(3, dtype=torch.float64)
    checkpoint = load_checkpoint(write_th({**package, "state": state}))
    expected = {k: v.detach() for k, v in state.items()}
    expected |= {k: expected[k].float() for k in ("bfloat", "double")}
    assert_same(checkpoint, expected)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol: int, package: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save({**package, "metrics": np.float64(1)}, buffer, pickle_protocol=protocol)
    assert_same(parse_checkpoint(buffer.getvalue()), package["state"])


def test_the_hub_layout(package: dict[str, Any], tmp_path: Path) -> None:
    import json

    from safetensors.torch import save_file

    segment = {"_type": "fraction", "numerator": 39, "denominator": 5}
    kwargs = {**package["kwargs"], "segment": segment}
    del kwargs["sources"]
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": json.dumps([package["kwargs"]["sources"]]),
        "kwargs": json.dumps(kwargs),
    }
    path = tmp_path / "named_without_suffix"
    state = {k: v.contiguous() for k, v in package["state"].items()}
    state["bfloat"] = torch.randn(3, 4).bfloat16()
    save_file(state, path, metadata)
    checkpoint = load_checkpoint(path)
    assert checkpoint.arguments == package["kwargs"]
    state["bfloat"] = state["bfloat"].float()
    assert_same(checkpoint, {name: state[name] for name in checkpoint.tensors})
    assert checkpoint.tensors.keys() == state.keys()


def test_the_model_that_ships() -> None:
    checkpoint = load_checkpoint(TINY)
    assert checkpoint.arguments["sources"] == ["drums", "bass", "other", "vocals"]
    assert checkpoint.arguments["segment"] == Fraction(3)
    parameters = sum(tensor.size for tensor in checkpoint.tensors.values())
    assert parameters == pytest.approx(1.877e6, rel=1e-3)


def test_neither_torch_nor_demucs_is_imported(package: dict[str, Any], write_th: Write) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from aistemsplitter_engine.weights.checkpoint import load_checkpoint;"
        "print(len(load_checkpoint(Path(sys.argv[1])).tensors));"
        "assert not {'torch', 'demucs', 'safetensors'} & sys.modules.keys()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, write_th(package)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) == len(package["state"])


@pytest.mark.parametrize("klass", [Demucs, HDemucs])
def test_another_network_is_rejected_by_name(
    klass: type, package: dict[str, Any], write_th: Write
) -> None:
    with pytest.raises(ModelError, match=rf"contains a demucs.*\.{klass.__name__}; only"):
        load_checkpoint(write_th({**package, "klass": klass}))


def test_a_custom_network_is_rejected_by_name(package: dict[str, Any], write_th: Write) -> None:
    with pytest.raises(ModelError, match=r"refers to torch\.nn\.modules\.linear\.Linear"):
        load_checkpoint(write_th({**package, "klass": torch.nn.Linear}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weight": torch.zeros(2)}, "has no klass, args, kwargs and state"),
        ([1, 2], "has no klass, args, kwargs and state"),
        ({"klass": HTDemucs, "args": (), "kwargs": {}, "state": {}}, "no weights"),
        ({"klass": "x", "args": (), "kwargs": {}, "state": {}}, "klass is not a class"),
        ({"klass": HTDemucs, "args": (), "kwargs": {}, "state": []}, "not a dictionary"),
        ({"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"a": 1}}, "a in its state"),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"__quantized": True}},
            "quantised",
        ),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"n": torch.tensor([3])}},
            "n holds int64",
        ),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"n": torch.tensor([np.nan])}},
            "n has infinite or NaN weights",
        ),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"n": torch.zeros(0)}},
            "does not fit",
        ),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {"x": {}}, "state": {"n": torch.ones(1)}},
            "x is not a plain value",
        ),
        (
            {"klass": HTDemucs, "args": (), "kwargs": {1: 2}, "state": {"n": torch.ones(1)}},
            "name of its argument 1 is not text",
        ),
    ],
)
def test_other_content_is_rejected_with_a_reason(
    content: object, reason: str, write_th: Write
) -> None:
    path = write_th(content)
    with pytest.raises(ModelError, match=reason) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_can_be_skipped(package: dict[str, Any], write_th: Write) -> None:
    path = write_th(package)
    lazy, checkpoint = load_checkpoint(path, lazy=True), load_checkpoint(path)
    assert (lazy.arguments, lazy.digest) == (checkpoint.arguments, checkpoint.digest)
    assert_same(lazy, package["state"])
    state = {**package["state"], "n": torch.tensor([np.nan])}
    lazy = load_checkpoint(write_th({**package, "state": state}), lazy=True)
    with pytest.raises(ModelError, match="n has infinite or NaN weights"):
        len(lazy.tensors)


def test_the_content_is_freed_once_the_weights_are_read(small_th: bytes) -> None:
    for whole in (small_th, TINY.read_bytes()):
        data = bytes(bytearray(whole))
        before = sys.getrefcount(data)
        checkpoint = parse_checkpoint(data, lazy=True)
        assert sys.getrefcount(data) > before
        assert len(checkpoint.tensors)
        gc.collect()
        assert sys.getrefcount(data) == before


def test_large_arguments_are_rejected(package: dict[str, Any], write_th: Write) -> None:
    text = "a" * 1000
    with pytest.raises(ModelError, match="too large"):
        load_checkpoint(write_th({**package, "kwargs": {"sources": [text] * 100}}))


def test_a_diffq_checkpoint_is_rejected_by_name(zip_around: Callable[..., bytes]) -> None:
    with pytest.raises(ModelError, match="quantised by DiffQ"):
        parse_checkpoint(zip_around(b"\x80\x02cdiffq.diffq\n_DiffQPacked\n)R."))


@pytest.mark.parametrize("items", [[], [1]])
def test_arguments_that_contain_themselves(
    items: list[Any], package: dict[str, Any], write_th: Write
) -> None:
    items.append(items)
    with pytest.raises(ModelError, match="too large"):
        load_checkpoint(write_th({**package, "kwargs": {"sources": items}}))
    shared: list[Any] = [0] * 10
    for _ in range(7):
        shared = [shared] * 10  # 10^8 values in a few bytes
    with pytest.raises(ModelError, match="too large"):
        load_checkpoint(write_th({**package, "kwargs": {"sources": shared}}))


def test_the_format_before_pytorch_1_6(package: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "legacy.th"
    torch.save(package, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"before 1\.6.*torch\.save\(torch\.load"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"<html>not found</html>", "neither .th, "), (b"PK\x03\x04", "cut short")],
)
def test_other_files(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.th"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        load_checkpoint(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.th cannot be read: No such file"):
        load_checkpoint(tmp_path / "missing.th")
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(tmp_path)
    huge = tmp_path / "huge.th"
    with huge.open("wb") as file:
        file.truncate(3 << 30)  # sparse
    with pytest.raises(ModelError, match="3072 MiB"):
        load_checkpoint(huge)
