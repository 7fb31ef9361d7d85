"""The PyTorch runtime and its arrays, on the processor."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from aistemsplitter_engine.errors import DeviceError, OptionError
from aistemsplitter_engine.pipeline.separate import Part, separate
from aistemsplitter_engine.runtimes import open_runtime
from aistemsplitter_engine.runtimes.torch import TorchRuntime
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint
from aistemsplitter_engine.weights.store import TINY
from fakes import FakeRuntime, FloatArray, music
from levels import measure
from reference import SMALL, network, save

EVERY = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    model = network(**{**SMALL, "channels": 16})
    return load_checkpoint(save(model, tmp_path_factory.mktemp("torch") / "model.th"))


def windows(runtime: TorchRuntime, batch: int) -> list[Tensor]:
    frames = runtime.network.segment_frames
    audio = music(batch * frames / 44100 + 1)[:, : batch * frames]
    return [torch.from_numpy(window * 5) for window in np.split(audio, batch, axis=1)]


@pytest.mark.network
@pytest.mark.parametrize(("precision", "least"), [("bf16", 30), ("float16", 45)])
def test_half_precision_is_close_to_float32(
    checkpoint: Checkpoint, precision: str, least: float
) -> None:
    exact = TorchRuntime(checkpoint, "cpu", "float32")
    segments = windows(exact, 2)
    expected = exact(segments, EVERY)
    got = TorchRuntime(checkpoint, "cpu", precision)(segments, EVERY)
    assert got.dtype == torch.float32
    error = (got - expected).double().square().sum()
    snr = 10 * torch.log10(expected.double().square().sum() / error).item()
    assert least < snr < 90  # the precision is used, indeed


class SmallDevice(TorchRuntime):
    """A runtime on a device without memory for more than ``room`` segments at once."""

    room = 3
    error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def separate(self, segments: Tensor) -> Tensor:
        self.batches = [*getattr(self, "batches", []), len(segments)]
        if len(segments) > self.room:
            raise self.error
        return super().separate(segments)


@pytest.mark.network
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_out_of_memory_halves_the_batch(
    checkpoint: Checkpoint, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = SmallDevice(checkpoint, "cpu", "float32")
    roomy = TorchRuntime(checkpoint, "cpu", "float32")
    runtime.error = error
    segments = windows(runtime, 9)
    with caplog.at_level(logging.WARNING):
        got = runtime(segments, (1, 3))
    assert runtime.batches == [9, 4, 2, 2, 2, 2, 1]
    expected = roomy(segments, (1, 3))
    assert (got - expected).abs().max() < 1e-5
    assert [record.getMessage() for record in caplog.records] == [
        f"Device cpu has no memory for {more} segments at once; continuing with {less}."
        for more, less in ((9, 4), (4, 2))
    ]
    runtime(segments[:3], (1, 3))
    assert runtime.batches[7:] == [2, 1]  # it has learned


def test_no_memory_for_one_segment() -> None:
    runtime = SmallDevice(load_checkpoint(TINY), "cpu", "float32")
    runtime.room = 0
    with pytest.raises(DeviceError) as caught:
        runtime(windows(runtime, 2), EVERY)
    assert str(caught.value) == (
        "device cpu: not enough memory for one segment; "
        "end other programs that use it, or choose device cpu"
    )
    assert caught.value.__context__ is None  # which would hold the tensors


def test_other_errors_are_raised() -> None:
    runtime = SmallDevice(load_checkpoint(TINY), "cpu", "float32")
    runtime.room, runtime.error = 0, RuntimeError("an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal"):
        runtime(windows(runtime, 2), EVERY)
    assert runtime.batches == [2]


SCRIPT = """
import torch
from aistemsplitter_engine.runtimes.torch import exact_products
cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
{setting}
def flags():
    found = [{flags}]
    if hasattr(cudnn, "conv"):
        found += [cublas.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision]
        found += [torch.backends.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision]
    return found
before = flags()
try:
    with exact_products():
        {exact}
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
assert flags() == before, (before, flags())
"""
OLD = "cublas.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision()"


@pytest.mark.parametrize(
    ("setting", "flags", "exact"),
    [
        ("", OLD, "assert not cublas.allow_tf32 and not cudnn.allow_tf32"),
        (
            "torch.set_float32_matmul_precision('medium')",
            OLD,
            "assert not cublas.allow_tf32 and not cudnn.allow_tf32",
        ),
        (
            "cublas.fp32_precision = 'tf32'; cudnn.conv.fp32_precision = 'ieee'",
            "",
            "assert cublas.fp32_precision == cudnn.conv.fp32_precision == 'ieee'",
        ),
        (
            "torch.backends.fp32_precision = 'tf32'",
            "",
            "assert cublas.fp32_precision == cudnn.conv.fp32_precision == 'ieee'",
        ),
    ],
)
def test_float32_does_not_use_tf32_and_leaves_the_flags_alone(
    setting: str, flags: str, exact: str
) -> None:
    """In a fresh process: PyTorch's older and newer flags do not mix."""
    if "fp32_precision" in setting and not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this PyTorch has the older flags only")
    script = SCRIPT.format(setting=setting, flags=flags, exact=exact)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class OnTorch(FakeRuntime):
    """A fake whose estimates are tensors."""

    # The base class is typed for NumPy arrays only, hence the ignored overrides.

    @property
    def arrays(self) -> object:  # type: ignore[override]
        return TorchRuntime(load_checkpoint(TINY), "cpu", "float32").arrays

    def __call__(self, segments: Sequence[Tensor], sources: tuple[int, ...]) -> Tensor:  # type: ignore[override]
        return torch.from_numpy(super().__call__([s.numpy() for s in segments], sources))


@pytest.mark.parametrize("offsets", [[0], [0, 700, 20_000]])
def test_tensors_are_overlap_added_like_arrays(offsets: list[int]) -> None:
    """Windows, overlap-add and levels are one code for both libraries."""
    track = music(21) + np.float32(0.01)
    blocks = np.array_split(track, 13, axis=1)

    def stems(kind: type[FakeRuntime]) -> FloatArray:
        part = Part(kind(TorchRuntime(load_checkpoint(TINY), "cpu", "float32").network), EVERY)
        out = separate(iter(blocks), measure(blocks), [part], [offsets], overlap=0.25, batch_size=3)
        return np.concatenate([estimates.sources for estimates in out], axis=2)

    tensors, arrays = stems(OnTorch), stems(FakeRuntime)
    assert isinstance(tensors, np.ndarray)
    assert tensors.shape == arrays.shape
    assert np.abs(tensors - arrays).max() <= 1e-6


@pytest.mark.parametrize("count", [0, 2])
def test_gpus_by_number(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    found = (
        "PyTorch finds no such GPU; it finds cuda:0, cuda:1"
        if count
        else "PyTorch finds no CUDA GPU on this machine"
    )
    with pytest.raises(OptionError) as caught:
        open_runtime("cuda:2", "float32")
    assert str(caught.value) == f"device cuda:2: {found}"
    if count:
        open_runtime("cuda:1", "float32")


@pytest.mark.parametrize("device", ["cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "cpu:0", "CUDA", None])
def test_invalid_names_of_devices(device: str) -> None:
    with pytest.raises(OptionError, match="is not one of auto, cpu, cuda, mps, or a GPU such as"):
        open_runtime(device, "float32")


@pytest.mark.parametrize(("free", "batch"), [(80e9, 16), (8e9, 6), (1e9, 1), (0, 1)])
def test_the_batch_follows_free_memory(
    free: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aistemsplitter_engine.families.htdemucs.config import Configuration
    from aistemsplitter_engine.families.htdemucs.family import HTDemucs
    from aistemsplitter_engine.runtimes.torch import _fitting_batch

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free), int(80e9)))
    htdemucs = HTDemucs(
        Configuration(("drums", "bass", "other", "vocals"), segment=Fraction(39, 5))
    )
    assert _fitting_batch(torch.device("cuda", 1), htdemucs) == batch
    assert _fitting_batch(torch.device("cpu"), htdemucs) == 1
