"""RoFormers as a family: their networks, and MSST's treatment of a track."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.base import Network, ParallelMap, Shape
from aistemsplitter_engine.families.ops import Ops
from aistemsplitter_engine.families.roformer import bands, network, parameters, transform
from aistemsplitter_engine.families.roformer.config import Configuration
from aistemsplitter_engine.families.roformer.grid import TrapezoidGrid
from aistemsplitter_engine.families.roformer.level import Meter
from aistemsplitter_engine.families.roformer.settings import SAMPLE_RATE, name_stems
from aistemsplitter_engine.families.roformer.sizes import SHARED_BIASES
from aistemsplitter_engine.messages import excerpt
from aistemsplitter_engine.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    from aistemsplitter_engine.families.roformer.torch_transform import TorchTransform


class RoFormerFamily:
    """All networks of the family."""

    sample_rate: int = SAMPLE_RATE
    has_shifts: bool = False

    def open(self, checkpoint: Checkpoint) -> Network:
        """Return the network of a checkpoint that has a model's YAML as its arguments."""
        return RoFormer(Configuration.of(checkpoint.arguments, checkpoint.shapes))

    def name_stems(self, arguments: Mapping[str, Any], stems: Sequence[str]) -> dict[str, Any]:
        """Return the YAML's content with other names of the instruments."""
        return name_stems(arguments, stems)

    def meter(self) -> Meter:
        """Return a meter of a track's length."""
        return Meter()


class RoFormer:
    """A Mel-Band RoFormer or BS-RoFormer."""

    code: tuple[Path, ...] = tuple(
        Path(str(module.__file__)) for module in (network, parameters, bands)
    )

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.sources = config.sources
        self.complement = config.settings.complement
        self.segment_frames = config.settings.segment_frames
        self.overlap = config.settings.overlap
        self.input_shapes: tuple[Shape, ...] = ((1, config.frames, config.numbers),)

    def only(self, sources: Collection[str]) -> RoFormer:
        """Return the network with the mask estimators of these sources."""
        return RoFormer(self.config.only(sources))

    def check(self, weights: Mapping[str, Any]) -> None:
        """Raise :class:`ModelError` for a bias that other programs add and this one does not.

        The shapes of all weights were checked when the network was opened.
        """
        for name, weight in weights.items():
            if SHARED_BIASES.fullmatch(name) and weight.any():
                raise ModelError(
                    f"it has shared biases that are not zero ({excerpt(name)}), not supported"
                )

    def prepare(self, weights: Mapping[str, Any], library: Any) -> parameters.Parameters:
        """Rearrange the weights as :func:`network.roformer` uses them."""
        return parameters.prepare(self.config, weights, library)

    def compute(
        self, ops: Ops[Any], parameters: parameters.Parameters, inputs: Sequence[Any]
    ) -> Sequence[Any]:
        """Compute the mask of each source."""
        return network.roformer(ops, self.config, parameters, *inputs)

    def analyse(
        self, segment: FloatArray, each: ParallelMap
    ) -> tuple[Sequence[FloatArray], transform.ComplexArray]:
        """Return the features of a segment, and its spectrum."""
        features, spectrum = transform.analyse(self.config, segment, each)
        return (features,), spectrum

    def synthesize(
        self,
        outputs: Sequence[FloatArray],
        scale: transform.ComplexArray,
        sources: tuple[int, ...],
        estimates: FloatArray,
        each: ParallelMap,
    ) -> None:
        """Write the masked spectra's samples into ``estimates``."""
        transform.synthesize(self.config, tuple(outputs), scale, sources, estimates, each)

    def transform(self, device: Any) -> TorchTransform:
        """Return the transform on a PyTorch device."""
        # Only here: PyTorch need not be installed.
        from aistemsplitter_engine.families.roformer.torch_transform import TorchTransform

        return TorchTransform(self.config, device)

    def grid(self, frames: int, overlap: float, offset: int) -> TrapezoidGrid:
        """Return MSST's chunks of a track; the offset is always 0."""
        return TrapezoidGrid(frames, self.segment_frames, overlap)

    def draw_offsets(
        self,
        networks: int,
        shifts: int,
        seed: int | None,
        frames: int,
        overlap: float,
    ) -> list[list[int]]:
        """Return one offset of 0 for each network: the family has no shifts."""
        return [[0]] * networks
