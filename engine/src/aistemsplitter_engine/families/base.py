"""The interface of model families: all that runtimes and the pipeline know of a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aistemsplitter_engine.arrays import Array, FloatArray
from aistemsplitter_engine.families.ops import Ops
from aistemsplitter_engine.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ParallelMap = Callable[..., Iterator[Any]]
"""Maps a function over sequences, like ``map`` or, in parallel, an executor's ``map``."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples ``start`` to ``stop`` of a track, separated in a window that begins at ``window``.

    The window has the length of one segment. In the overlap-add, its samples are weighted from
    ``start`` on by number ``weight`` of the grid's weights.
    """

    start: int
    stop: int
    window: int
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples ``start`` to ``stop`` of the track, from ``place`` in a window on."""

    place: int
    start: int
    stop: int
    reversed: bool = False


class Level(Protocol):
    """A track's length, and what else was measured of the whole track."""

    @property
    def frames(self) -> int:
        """Length in samples."""


class Loudness(Level, Protocol):
    """A track's length in samples, and its level before and after separation."""

    def normalize(self, audio: FloatArray, out: FloatArray) -> None:
        """Write the audio at the level that the network expects into ``out``."""

    def restore(self, estimate: Array, out: Array, library: Any) -> None:
        """Undo :meth:`normalize` on an estimate, and write the result into ``out``.

        Args:
            estimate: An array of the library, which may be ``out``.
            library: ``numpy`` or ``torch``.
        """


class Meter(Protocol):
    """Measures a track block by block."""

    def add(self, block: FloatArray) -> None:
        """Add the next samples (2, n) of the track."""

    def loudness(self) -> Any:
        """Return the :class:`Level` of the samples so far; a family's is a :class:`Loudness`."""


class Grid(Protocol):
    """All chunks of a track, in the order of their samples."""

    @property
    def frames(self) -> int:
        """Length of the track in samples."""

    @property
    def segment(self) -> int:
        """Length of a window in samples."""

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Weights (segment) of a window's samples in the overlap-add, see :class:`Chunk`."""

    def __len__(self) -> int: ...

    def chunk(self, index: int) -> Chunk:
        """Return a chunk by its number, from 0 to ``len(grid) - 1``."""

    def pieces(self, chunk: Chunk) -> Sequence[Piece]:
        """Return the normalized samples in a chunk's window, which is silent elsewhere."""

    def first_needed(self, index: int) -> int:
        """Return the first sample that the windows of chunk ``index`` and later ones contain."""

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
        complement: Name of the stem that is the mixture minus the only source, or None.
        segment_frames: Samples of a segment.
        overlap: Overlap of adjacent segments by default, as a fraction of a segment.
        input_shapes: Shapes of the inputs of one segment.
        code: Source files of :meth:`compute` and :meth:`prepare`, whose content names a compiled
            network in the cache.
    """

    sources: tuple[str, ...]
    complement: str | None
    segment_frames: int
    overlap: float
    input_shapes: tuple[Shape, ...]
    code: tuple[Path, ...]

    def only(self, sources: Collection[str]) -> Network:
        """Return the network for some of the sources: itself if it always computes them all."""

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
        has_shifts: True if tracks can be separated with several offsets and averaged.
    """

    sample_rate: int
    has_shifts: bool

    def open(self, checkpoint: Checkpoint) -> Network:
        """Return the network of a checkpoint.

        Raises:
            ModelError: The checkpoint describes no supported network.
        """

    def name_stems(self, arguments: Mapping[str, Any], stems: Sequence[str]) -> dict[str, Any]:
        """Return a checkpoint's arguments with other names of its stems.

        Args:
            arguments: Arguments of a checkpoint.
            stems: Names in the order of the network's outputs; if it has a single output that is
                its target, the second name is that of the rest.

        Raises:
            ModelError: The network has another number of stems.
        """

    def meter(self) -> Meter:
        """Return a meter of a track's loudness, at the family's sample rate."""
