"""The interface of model families: all that runtimes and the pipeline know of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aistemsplitter_engine.arrays import Array, FloatArray
from aistemsplitter_engine.families.ops import Ops

if TYPE_CHECKING:
    from torch import Tensor

ParallelMap = Callable[..., Iterator[Any]]
"""Maps a function over sequences, like ``map`` or, in parallel, an executor's ``map``."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples ``start`` to ``stop`` of a track, separated in a window that begins at ``window``.

    The window is one segment of the normalized track, and silent past the track's ends.
    """

    start: int
    stop: int
    window: int


class Loudness(Protocol):
    """A track's length in samples, and its level before and after separation."""

    @property
    def frames(self) -> int:
        """Length in samples."""

    def normalize(self, audio: FloatArray, out: FloatArray) -> None:
        """Write the audio at the level that the network expects into ``out``."""

    def restore(self, estimate: Array) -> None:
        """Undo :meth:`normalize` on an estimate, in place."""


class Grid(Protocol):
    """All chunks of a track, in the order of their samples."""

    @property
    def frames(self) -> int:
        """Length of the track in samples."""

    @property
    def weight(self) -> FloatArray:
        """Weight of each sample of a window in the overlap-add (segment)."""

    def __len__(self) -> int: ...

    def chunk(self, index: int) -> Chunk:
        """Return a chunk by its number, from 0 to ``len(grid) - 1``."""

    def first_reaching(self, frame: int) -> int:
        """Return the number of the first chunk that contributes to ``frame`` or to later ones."""

    def finalized(self, done: int) -> int:
        """Return how many samples no chunk after the first ``done`` will change."""


class Transform(Protocol):
    """The transform of segments on a PyTorch device, in float32."""

    def analyse(self, segments: Tensor) -> tuple[Sequence[Tensor], Any]:
        """Return the network's inputs for segments (batch, channels, samples), and their scale."""

    def synthesize(self, outputs: Sequence[Tensor], scale: Any) -> Tensor:
        """Return the estimates (batch, sources, channels, samples) of the network's outputs."""


class Network(Protocol):
    """A network without its weights.

    Attributes:
        sources: Names of the stems that it computes, in the order of its outputs.
        segment_frames: Samples of a segment.
        input_shapes: Shapes of the inputs of one segment.
        code: Source files of :meth:`compute` and :meth:`prepare`, whose content names a compiled
            network in the cache.
    """

    sources: tuple[str, ...]
    segment_frames: int
    input_shapes: tuple[Shape, ...]
    code: tuple[Path, ...]

    def check(self, weights: Mapping[str, Any]) -> None:
        """Raise :class:`ModelError` that names a weight which is missing or of another shape."""

    def prepare(self, weights: Mapping[str, Any], library: Any) -> Any:
        """Return the parameters of :meth:`compute`: dataclasses and tuples of arrays.

        Args:
            weights: Weights in float32, arrays of the library.
            library: ``numpy`` or ``torch``.
        """

    def compute(self, ops: Ops[Any], parameters: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Compute the outputs by the operations of a runtime."""

    def analyse(self, segment: FloatArray, each: ParallelMap) -> tuple[Sequence[FloatArray], Any]:
        """Return the inputs for a segment (channels, samples), and their scale."""

    def synthesize(
        self,
        outputs: Sequence[FloatArray],
        scale: Any,
        sources: tuple[int, ...],
        estimates: FloatArray,
        each: ParallelMap,
    ) -> None:
        """Write the samples of the outputs into ``estimates`` (sources, channels, samples).

        Only ``sources``, given by index, are computed; ``each`` maps over them.
        """

    def transform(self, device: Any) -> Transform:
        """Return the transform on a PyTorch device."""

    def grid(self, frames: int, overlap: float, offset: int) -> Grid:
        """Return the chunks of a track, the first of them ``offset`` samples before it.

        Raises:
            OptionError: The overlap is not supported.
        """

    def draw_offsets(
        self, networks: int, shifts: int, seed: int | None, frames: int, overlap: float
    ) -> list[list[int]]:
        """Draw ``shifts`` offsets of grids for each network of a bag; ``[0]`` without shifts."""


class Family(Protocol):
    """Networks of one kind.

    Attributes:
        sample_rate: Sample rate of their audio in Hz.
    """

    sample_rate: int

    def open(self, arguments: Mapping[str, Any]) -> Network:
        """Return the network of a checkpoint's arguments.

        Raises:
            ModelError: The arguments describe no supported network.
        """

    def measure(self, blocks: Iterable[FloatArray]) -> Loudness:
        """Return the loudness of a track, given as blocks (2, n) at the family's sample rate."""
