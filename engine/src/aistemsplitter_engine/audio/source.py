"""Sources of a song's audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES
from aistemsplitter_engine.errors import AudioError, OptionError
from aistemsplitter_engine.options import whole_number

if TYPE_CHECKING:
    from aistemsplitter_engine.audio.tags import Cover


class Source(Protocol):
    """A song that can be read several times: measuring its level takes a pass."""

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels before downmixing; 1 is mono."""
        ...

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the song from its start as (2, n) blocks, n at most ``BLOCK_FRAMES``.

        Raises:
            AudioError: The song cannot be read to its end.
        """
        ...


@runtime_checkable
class TaggedSource(Source, Protocol):
    """A source with tags and a cover picture for its stems, such as an audio file."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Texts by name (title, artist, album ...)."""
        ...

    @property
    def cover(self) -> Cover | None:
        """Cover picture, or None."""
        ...

    @property
    def warnings(self) -> list[str]:
        """Warnings about the song, as far as it was read."""
        ...


class AudioArray:
    """Audio in memory.

    Args:
        samples: NumPy array or PyTorch tensor of (frames,), (1, frames) or (2, frames) in floating
            point, with full scale at -1 and 1. An array, or a tensor on the CPU, is not copied.
        sample_rate: Sample rate in Hz, a whole number of any type.
        name: Name for messages.

    Raises:
        AudioError: The audio has another shape or type, no samples, or a rate that is not positive.
    """

    def __init__(self, samples: Any, sample_rate: int, name: str = "array") -> None:
        array = np.atleast_2d(_as_numpy(samples, name))
        if array.ndim != 2 or array.shape[0] not in (1, 2):
            shape = tuple(map(int, np.shape(samples)))
            way_out = "; transpose it" if array.ndim == 2 and shape[1] in (1, 2) else ""
            raise AudioError(f"{name}: audio must be (1 or 2, frames), not {shape}{way_out}")
        if array.shape[1] == 0:
            raise AudioError(f"{name}: holds no audio")
        if not np.issubdtype(array.dtype, np.floating):
            raise AudioError(
                f"{name}: audio must be floating point in [-1, 1], not {array.dtype};"
                " divide integers by their full scale"
            )
        try:
            rate = whole_number("sample rate", sample_rate)
        except OptionError as error:
            raise AudioError(f"{name}: {error}") from None
        if rate <= 0:
            raise AudioError(f"{name}: a sample rate of {rate} Hz is not supported")
        self.name = name
        self.sample_rate = rate
        self.channels = int(array.shape[0])
        self.frames = int(array.shape[1])
        self._array = array

    def blocks(self) -> Iterator[FloatArray]:
        """Yield (2, n) blocks; mono is on both channels, samples that are not numbers are 0."""
        for start in range(0, self.frames, BLOCK_FRAMES):
            part = self._array[:, start : start + BLOCK_FRAMES]
            block, _ = finite(np.broadcast_to(part, (2, part.shape[1])))
            yield block


def _as_numpy(samples: Any, name: str) -> NDArray[Any]:
    """Return an array, or a tensor of any device, as a NumPy array."""
    if hasattr(samples, "detach"):  # PyTorch's; not imported here, as it takes seconds
        try:
            samples = samples.detach().cpu().numpy()
        except TypeError as error:  # such as bfloat16, which NumPy does not have
            raise AudioError(
                f"{name}: a tensor of {samples.dtype} cannot be read; convert it with .float()"
            ) from error
    return np.asarray(samples)


LARGEST = 1e30
"""Limit of finite samples, 600 dB over full scale, so that their sums stay finite."""


def finite(samples: NDArray[np.floating[Any]]) -> tuple[FloatArray, int]:
    """Return a float32 copy in which all samples are finite, and the number that were not.

    NaN and infinity become 0, which does the least harm; huge numbers stay huge.
    """
    # Fast path for nearly all blocks; comparisons with NaN are false.
    if samples.size and float(samples.min()) >= -LARGEST and float(samples.max()) <= LARGEST:
        return np.array(samples, np.float32, order="C"), 0
    good = np.isfinite(samples)
    bad = int(good.size - np.count_nonzero(good))
    clean = np.where(good, samples, 0) if bad else samples
    if clean.dtype == np.float16:  # cannot hold that limit, nor exceed it
        return np.ascontiguousarray(clean, dtype=np.float32), bad
    return np.ascontiguousarray(np.clip(clean, -LARGEST, LARGEST), dtype=np.float32), bad
