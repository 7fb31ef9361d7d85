"""The OpenVINO runtime, for CPUs: a graph built from the weights, and cached once compiled."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path
from queue import LifoQueue

import numpy as np

from aistemsplitter_engine.arrays import NUMPY, Arrays, FloatArray
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.options import Precision
from aistemsplitter_engine.resources import cpu_count
from aistemsplitter_engine.runtimes import openvino_ops as operations
from aistemsplitter_engine.runtimes.compiled_model_cache import CachedModel
from aistemsplitter_engine.runtimes.openvino_ops import OpenVinoOps
from aistemsplitter_engine.runtimes.openvino_without_telemetry import openvino as ov
from aistemsplitter_engine.runtimes.openvino_without_telemetry import opset13 as opset
from aistemsplitter_engine.weights.checkpoint import Checkpoint

_loading = threading.Lock()  # one at a time: loading takes twice the memory of a loaded network
_HINTS = {"float32": "f32", "bf16": "bf16"}


def choose_precision(precision: Precision) -> Precision:
    """Resolve ``auto`` to bf16 if the processor supports it, else to float32."""
    if precision == "float16":
        raise OptionError("precision float16 needs a GPU; on the CPU choose auto, float32 or bf16")
    if precision == "float32":
        return precision
    has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not has_bf16:
        raise OptionError("this processor does not multiply in bf16; choose auto or float32")
    return "bf16" if has_bf16 else "float32"


@cache
def _core() -> ov.Core:
    """Return the process's only core: after freeing a second one, signals can crash Python."""
    return ov.Core()


class OpenVinoRuntime:
    """A network on the CPU, computed by all cores together.

    A thread loads it, while the caller reads the song and transforms the first segment.

    The Fourier transforms run in two threads. With more than two cores, one segment is transformed
    while another is in the network; with two cores that would be slower.
    """

    arrays: Arrays = NUMPY
    batch_size = 1  # a larger batch takes more memory and is not faster

    def __init__(
        self,
        checkpoint: Checkpoint,
        precision: Precision,
        sources: Collection[str] | None = None,
    ) -> None:
        self.network = network = open_network(checkpoint, sources)
        self.precision = precision
        self._cached = CachedModel(_name(network, checkpoint, precision))
        if not self._cached.exists():  # else they were checked when it was compiled
            network.check(checkpoint.tensors)
        self.concurrency = 2 if cpu_count() > 2 else 1
        self._threads = ThreadPoolExecutor(2, "transform")
        self._requests: LifoQueue[ov.InferRequest] = LifoQueue()
        self._loaded = ThreadPoolExecutor(1, "load").submit(self._load, checkpoint)

    def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
        shape = (len(segments), len(sources), *segments[0].shape)
        estimates = np.empty(shape, np.float32)
        for segment, estimate in zip(segments, estimates, strict=True):
            self._separate(segment, sources, estimate)
        return estimates

    def _load(self, checkpoint: Checkpoint) -> None:
        with _loading:
            options = _options(self.precision)
            model = self._cached.load(_core(), options)
            if model is None:
                graph = _graph(self.network, checkpoint, self.precision)
                model = _core().compile_model(graph, "CPU", options)
                self._cached.store(model)
        for _ in range(self.concurrency):
            request = model.create_infer_request()
            # OpenVINO's table of NumPy types deadlocks if two threads initialize it at once, so
            # it is initialized here.
            _ = request.get_input_tensor(0).data
            self._requests.put(request)

    def _separate(
        self, segment: FloatArray, sources: tuple[int, ...], estimates: FloatArray
    ) -> None:
        inputs, scale = self.network.analyse(segment, self._threads.map)
        self._loaded.result()  # raises errors of loading
        request = self._requests.get()
        try:
            for i, values in enumerate(inputs):
                request.set_input_tensor(i, ov.Tensor(values, shared_memory=True))
            request.infer(share_outputs=True)  # without a copy
            outputs = [tensor.data for tensor in request.output_tensors]
            self.network.synthesize(outputs, scale, sources, estimates, self._threads.map)
        finally:
            self._requests.put(request)


def _options(precision: Precision) -> dict[str, object]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": cpu_count(),
    }


def _graph(network: Network, checkpoint: Checkpoint, precision: Precision) -> ov.Model:
    weights = {name: np.asarray(w, np.float32) for name, w in checkpoint.tensors.items()}
    parameters = network.prepare(weights, np)
    inputs = [opset.parameter(list(shape), np.float32) for shape in network.input_shapes]
    outputs = network.compute(OpenVinoOps(exact=precision == "float32"), parameters, inputs)
    return ov.Model(list(outputs), inputs)


def _name(network: Network, checkpoint: Checkpoint, precision: Precision) -> str:
    """Return a name for the compiled network, which depends on all that it was compiled from."""
    code = b"".join(p.read_bytes() for p in (*network.code, Path(str(operations.__file__))))
    processor = _core().get_property("CPU", "FULL_DEVICE_NAME")
    options = sorted(_options(precision).items())
    made = f"{ov.__version__} {processor} {options} {network.sources}".encode() + code
    return f"{checkpoint.digest[:16]}-{_HINTS[precision]}-{sha256(made).hexdigest()[:16]}"
