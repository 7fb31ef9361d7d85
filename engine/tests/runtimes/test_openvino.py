"""Compiled model cache of the OpenVINO runtime, and choice of the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino.opset13 as opset
import pytest
import torch
from openvino import Core, Model

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.runtimes import compiled_model_cache, open_runtime
from aistemsplitter_engine.runtimes import openvino as openvino_runtime
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime, choose_precision
from aistemsplitter_engine.runtimes.openvino_ops import OpenVinoOps
from aistemsplitter_engine.weights.checkpoint import load_checkpoint
from reference import SHALLOW, network, save

pytestmark = pytest.mark.network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "aistemsplitter" / "compiled"


def run(file: Path) -> np.ndarray:
    return run_with(OpenVinoRuntime(load_checkpoint(file), "float32"))


def run_with(runtime: OpenVinoRuntime) -> np.ndarray:
    audio = np.random.default_rng(0).standard_normal((2, runtime.network.segment_frames))
    return runtime([audio.astype(np.float32)], (0, 3))


def test_the_compiled_model_is_cached_and_reused(cache: Path, tmp_path: Path) -> None:
    file = save(network(**SHALLOW), tmp_path / "model.th")
    first = run(file)
    (kept,) = cache.iterdir()
    os.utime(kept, (1000, 1000))
    inode = kept.stat().st_ino
    assert np.array_equal(run(file), first)
    (again,) = cache.iterdir()
    assert again.stat().st_ino == inode
    assert again.stat().st_mtime > 1000  # time of its last use


@pytest.mark.parametrize("damage", [b"", b"nonsense", slice(100_000), slice(-1)])
def test_a_damaged_cache_is_replaced(cache: Path, tmp_path: Path, damage: bytes | slice) -> None:
    file = save(network(**SHALLOW), tmp_path / "model.th")
    first = run(file)
    (kept,) = cache.iterdir()
    damaged = kept.read_bytes()[damage] if isinstance(damage, slice) else damage
    kept.write_bytes(damaged)
    assert np.array_equal(run(file), first)
    assert kept.read_bytes() != damaged


def test_files_of_killed_processes_are_deleted(cache: Path, tmp_path: Path) -> None:
    """But not those that another process is writing."""
    file = save(network(**SHALLOW), tmp_path / "model.th")
    run(file)
    (kept,) = cache.iterdir()
    abandoned = kept.rename(kept.with_suffix(".12345.part"))
    os.utime(abandoned, (0, 0))
    being_written = kept.with_suffix(".54321.part")
    being_written.touch()
    run(file)
    assert {*cache.iterdir()} == {kept, being_written}


def test_models_for_other_numbers_of_threads_are_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two environments that share a home would otherwise compile at every start."""
    file = save(network(**SHALLOW), tmp_path / "model.th")
    for count in (1, 2):
        monkeypatch.setattr(openvino_runtime, "cpu_count", lambda count=count: count)
        run(file)
    assert len([*cache.iterdir()]) == 2


def test_the_least_recently_used_models_are_deleted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [save(network(seed, **SHALLOW), tmp_path / f"{seed}.th") for seed in range(3)]
    kept = []
    for age, file in enumerate(files[:2]):
        run(file)
        (new,) = {*cache.iterdir()} - {*kept}
        os.utime(new, (1000 - age, 1000 - age))
        kept.append(new)
    monkeypatch.setattr(compiled_model_cache, "MAX_BYTES", int(2.5 * kept[0].stat().st_size))
    run(files[1])  # is reused
    run(files[2])
    assert kept[0] not in [*cache.iterdir()]
    assert kept[1] in [*cache.iterdir()]
    assert len([*cache.iterdir()]) == 2


def test_a_model_larger_than_the_cache_empties_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(network(**SHALLOW), tmp_path / "model.th")
    monkeypatch.setattr(compiled_model_cache, "MAX_BYTES", 10)
    cache.mkdir(parents=True)
    (cache / "other.blob").write_bytes(bytes(20))
    run(file)
    (kept,) = cache.iterdir()
    assert kept.name != "other.blob"


def test_a_cached_model_can_be_deleted_while_in_use(cache: Path, tmp_path: Path) -> None:
    file = save(network(**SHALLOW), tmp_path / "model.th")
    first = run(file)
    runtime = OpenVinoRuntime(load_checkpoint(file, lazy=True), "float32")
    assert np.array_equal(run_with(runtime), first)
    for kept in cache.iterdir():
        kept.unlink()
    assert np.array_equal(run_with(runtime), first)


def test_two_models_do_not_share_a_cache(cache: Path, tmp_path: Path) -> None:
    one = run(save(network(1, **SHALLOW), tmp_path / "one.th"))
    two = run(save(network(2, **SHALLOW), tmp_path / "two.th"))
    assert len(list(cache.iterdir())) == 2
    assert np.abs(one - two).max() > 0.01


def test_an_unwritable_folder_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run(save(network(**SHALLOW), tmp_path / "model.th")).shape[1] == 2


def test_two_requests_at_once_in_a_fresh_process(tmp_path: Path) -> None:
    """OpenVINO's first two requests once deadlocked."""
    file = save(network(**SHALLOW), tmp_path / "model.th")
    script = f"""
import sys; sys.setswitchinterval(1e-6)
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime
from aistemsplitter_engine.weights.checkpoint import load_checkpoint
runtime = OpenVinoRuntime(load_checkpoint(Path({str(file)!r})), "float32")
audio = np.zeros((2, runtime.network.segment_frames), np.float32)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: runtime([audio], (0,)), range(8)))
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def names_in_openvino(before: str) -> str:
    """Return the names in the module ``openvino`` after an import in a fresh process."""
    script = f"""
{before}
import sys
import openvino
from openvino import convert_model
assert openvino.convert_model is convert_model
assert convert_model is sys.modules["openvino.tools.ovc"].convert_model
assert [name for name, module in sys.modules.items() if module is None] == []
print(sorted(vars(openvino)))
"""
    # OpenVINO sends no telemetry in CI.
    environment = {**os.environ, "CI": "true"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, check=True, timeout=300, env=environment, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def test_importing_the_runtime_leaves_openvino_whole() -> None:
    runtime = "import aistemsplitter_engine.runtimes.openvino"
    assert names_in_openvino(runtime) == names_in_openvino("")


def test_openvino_that_was_imported_before_is_unchanged() -> None:
    script = """
import sys
sys.modules["openvino_telemetry"] = None  # sends no telemetry from this test
import openvino as ov
before = dict(vars(ov))
import aistemsplitter_engine.runtimes.openvino
assert vars(ov) == before
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize("before", ["", "import openvino_telemetry as earlier"])
def test_importing_the_runtime_sends_no_telemetry(before: str) -> None:
    script = f"""
import sys, threading
{before}
modules = {{name for name in sys.modules if name.startswith("openvino_telemetry")}}
import aistemsplitter_engine.runtimes.openvino
assert {{name for name in sys.modules if name.startswith("openvino_telemetry")}} == modules
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
assert threading.enumerate() == [threading.main_thread()]
import openvino_telemetry
assert not modules or openvino_telemetry is earlier
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def test_signals_are_handled_after_runtimes_are_gone(tmp_path: Path) -> None:
    """A second OpenVINO core would leave a freed signal stack."""
    file = save(network(**SHALLOW), tmp_path / "model.th")
    script = f"""
import gc, os, signal
from pathlib import Path
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime, choose_precision
from aistemsplitter_engine.weights.checkpoint import load_checkpoint
checkpoint = load_checkpoint(Path({str(file)!r}))
choose_precision("auto")
runtimes = [OpenVinoRuntime(checkpoint, "float32") for _ in range(2)]
while runtimes:
    runtimes.pop(0)
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: None)
os.kill(os.getpid(), signal.SIGTERM)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize(
    ("shape", "axes"), [((1, 6, 1, 85_995), (1, 3)), ((1, 1344, 512), (1, 2)), ((1, 8, 70), (2,))]
)
def test_long_silence_costs_no_precision(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = np.full(shape, 0.1234567, np.float32)
    x[..., : shape[-1] // 9] = np.random.default_rng(0).standard_normal(shape[-1] // 9)
    ops = OpenVinoOps(exact=True)
    parameter = opset.parameter(shape, np.float32)
    results = [ops.standardize(parameter, axes, 1e-5), ops.mean(parameter, axes)]
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    standard, mean = Core().compile_model(Model(results, [parameter]), "CPU", options)(x).values()
    exact = x.astype(np.float64)
    exact_mean = exact.mean(axes, keepdims=True)
    expected = (exact - exact_mean) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    # At most 1.4e-7 on a processor without AVX-512; if not exact, 1e-6 to 4e-5 for the long ones.
    assert np.abs(mean - exact_mean).max() < 3e-7
    assert np.abs(standard - expected).max() < 2e-6 * np.abs(expected).max()


def test_precision_is_chosen_or_refused() -> None:
    has_bf16 = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert choose_precision("float32") == "float32"
    assert choose_precision("auto") == ("bf16" if has_bf16 else "float32")
    with pytest.raises(OptionError, match="float16 needs a GPU"):
        choose_precision("float16")


@pytest.mark.parametrize(
    ("device", "precision", "reason"),
    [
        (
            "tpu",
            "auto",
            "device 'tpu' is not one of auto, cpu, cuda, mps, or a GPU such as cuda:1",
        ),
        ("cpu", "int8", "precision 'int8' is not one of"),
        ("cuda", "auto", "PyTorch finds no CUDA GPU"),
        ("mps", "auto", "PyTorch finds no Metal device"),
    ],
)
def test_unsupported_devices_and_precisions(device: str, precision: str, reason: str) -> None:

    if (device == "cuda" and torch.cuda.is_available()) or (
        device == "mps" and torch.backends.mps.is_available()
    ):
        pytest.skip(f"this machine has {device}")
    with pytest.raises(OptionError, match=reason):
        open_runtime(device, precision)  # type: ignore[arg-type]
