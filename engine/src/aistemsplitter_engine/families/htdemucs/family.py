"""HTDemucs as a family: its networks, and Demucs' treatment of a track."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.base import Network, ParallelMap, Shape
from aistemsplitter_engine.families.htdemucs import network, parameters, transform
from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid
from aistemsplitter_engine.families.htdemucs.loudness import Meter
from aistemsplitter_engine.families.htdemucs.shapes import check_weights
from aistemsplitter_engine.families.htdemucs.shifts import draw_offsets
from aistemsplitter_engine.families.ops import Ops
from aistemsplitter_engine.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    from aistemsplitter_engine.families.htdemucs.torch_transform import TorchTransform


class HTDemucsFamily:
    """All networks of the family."""

    sample_rate: int = 44_100
    has_shifts: bool = True

    def open(self, checkpoint: Checkpoint) -> Network:
        """Return the network of a checkpoint with the arguments of ``HTDemucs.__init__``."""
        return HTDemucs(Configuration.from_arguments(checkpoint.arguments))

    def name_stems(self, arguments: Mapping[str, Any], stems: Sequence[str]) -> dict[str, Any]:
        """Return the arguments with other names of the sources."""
        sources = arguments.get("sources", ())
        if len(stems) != len(sources):
            raise ModelError(f"it has {len(sources)} stems, not the {len(stems)} that were named")
        return {**arguments, "sources": list(stems)}

    def meter(self) -> Meter:
        """Return a meter of mean and standard deviation of a track's mono mixture."""
        return Meter()


class HTDemucs:
    """A network of the family."""

    overlap: float = 0.25
    complement: str | None = None
    code: tuple[Path, ...] = tuple(Path(str(module.__file__)) for module in (network, parameters))

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.sources = config.sources
        self.segment_frames = config.segment_frames
        channels = config.audio_channels
        self.input_shapes: tuple[Shape, ...] = (
            (1, channels, config.spectrogram_frames, 2 * config.bins),
            (1, channels, 1, config.filled_frames),
        )

    def only(self, sources: Collection[str]) -> HTDemucs:
        """Return the network itself: all its sources come from one decoder."""
        return self

    def check(self, weights: Mapping[str, Any]) -> None:
        """Raise :class:`ModelError` if a weight is missing or has another shape."""
        check_weights(self.config, weights)

    def prepare(self, weights: Mapping[str, Any], library: Any) -> parameters.Parameters:
        """Rearrange the weights as :func:`network.htdemucs` uses them."""
        return parameters.prepare(self.config, weights, library)

    def compute(
        self, ops: Ops[Any], parameters: parameters.Parameters, inputs: Sequence[Any]
    ) -> Sequence[Any]:
        """Compute spectrogram and waveform of all sources."""
        return network.htdemucs(ops, self.config, parameters, *inputs)

    def analyse(
        self, segment: FloatArray, each: ParallelMap
    ) -> tuple[Sequence[FloatArray], transform.Inputs]:
        """Return spectrogram and waveform of a segment, standardized."""
        inputs = transform.analyse(self.config, segment, each)
        return (inputs.spectrogram, inputs.waveform), inputs

    def synthesize(
        self,
        outputs: Sequence[FloatArray],
        scale: transform.Inputs,
        sources: tuple[int, ...],
        estimates: FloatArray,
        each: ParallelMap,
    ) -> None:
        """Write the sum of both branches into ``estimates``."""
        spectrogram, waveform = outputs
        transform.synthesize(self.config, scale, spectrogram, waveform, sources, estimates, each)

    def transform(self, device: Any) -> TorchTransform:
        """Return the transform on a PyTorch device."""
        # Only here: PyTorch need not be installed.
        from aistemsplitter_engine.families.htdemucs.torch_transform import TorchTransform

        return TorchTransform(self.config, device)

    def grid(self, frames: int, overlap: float, offset: int) -> TriangleGrid:
        """Return Demucs' chunks of a track."""
        return TriangleGrid(frames, self.segment_frames, overlap, offset)

    def draw_offsets(
        self, networks: int, shifts: int, seed: int | None, frames: int, overlap: float
    ) -> list[list[int]]:
        """Draw the offsets that Demucs draws with this seed."""
        return draw_offsets(self.config, networks, shifts, seed, frames, overlap)
