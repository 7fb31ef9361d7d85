"""A song that is separated: its length and level, its audio, and its stems from estimates."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio import AudioArray, AudioFile, Source, TaggedSource, resample
from aistemsplitter_engine.audio.loudness import LoudnessMeter
from aistemsplitter_engine.errors import AudioError, Cancelled
from aistemsplitter_engine.families.base import Level
from aistemsplitter_engine.pipeline.memory import FRAME_BYTES, HeldBlocks
from aistemsplitter_engine.pipeline.separate import Estimates
from aistemsplitter_engine.pipeline.stem_names import RESIDUAL, StemModel

Song = str | os.PathLike[str] | Source
Progress = Callable[[float], None]
# Seconds of a song that is held in memory. To decode a longer one twice takes little time beside
# its separation, and its memory would exceed that of the networks.
_LONGEST_HELD = 15 * 60
_ENCODED = 0.9  # of the progress after the separation; the rest is for completing the files


@dataclass(slots=True)
class _Read:
    """Frames and checksum of a pass over a song, at the song's own rate."""

    frames: int = 0
    checksum: int = 0


class Track:
    """A song, its wanted stems, and the caller's progress callback and cancel event."""

    def __init__(
        self,
        model: StemModel,
        song: Song,
        stems: tuple[str, ...],
        on_progress: Progress | None,
        cancel: threading.Event | None,
        *,
        measures_loudness: bool = False,
    ) -> None:
        self.source = _source(song)
        self.stems = stems
        self._model = model
        self.model_rate = model.sample_rate  # Hz
        self.needed = model.needed(stems)  # stems of the model, in its order
        self._subtracted = {  # by the stem that is the mixture without them
            stem: source for stem in stems if (source := model.subtracted(stem)) is not None
        }
        self.separation_share = 1.0  # of the progress; the rest is reported by those who encode
        self._on_progress = on_progress
        self._fraction = 0.0
        self._cancel = cancel
        self._first = _Read()
        self._held: HeldBlocks | None = None
        self._lufs_meter = LoudnessMeter(self.model_rate) if measures_loudness else None

    @property
    def warnings(self) -> list[str]:
        """Warnings about the song, as far as it was read."""
        return self.source.warnings if isinstance(self.source, TaggedSource) else []

    @cached_property
    def loudness(self) -> Level:
        """Length and level at the model's rate; computed by a pass over the song.

        A song of up to a quarter of an hour that fits the memory budget is held for :meth:`audio`.
        """
        self._first, self._held = _Read(), HeldBlocks(self._most_held())
        meter = self._model.meter()
        for block in self._held.hold(self.reported(self._resampled(self._first))):
            meter.add(block)
            if self._lufs_meter is not None:
                self._lufs_meter.add(block)
        measured: Level = meter.loudness()
        if measured.frames == 0:
            raise AudioError(f"{self.source.name}: holds no audio")
        return measured

    @cached_property
    def lufs(self) -> float | None:
        """Integrated loudness; None for silence, or if it was not to be measured."""
        _ = self.loudness
        return None if self._lufs_meter is None else self._lufs_meter.integrated()

    @property
    def identity(self) -> dict[str, int]:
        """The song's length and checksum, which do not depend on its path or name."""
        frames = self.loudness.frames
        return {"frames": frames, "checksum": self._first.checksum}

    def frames_at(self, rate: int) -> int:
        """Return the song's number of samples at a rate in Hz, exact at its own rate."""
        _ = self.loudness
        return -(-self._first.frames * rate // self.source.sample_rate)

    def audio(self) -> Generator[FloatArray]:
        """Yield the song at the model's rate, once.

        A song that is not held in memory is read again.

        Raises:
            AudioError: The song has changed since its loudness was measured.
        """
        _ = self.loudness
        if self._held is not None and self._held.complete:
            yield from self._held.take()
            return
        second = _Read()
        yield from self._resampled(second)
        if second != self._first:
            raise AudioError(f"{self.source.name}: changed while it was read; try again")

    def close(self) -> None:
        """Drop the audio that is held in memory, now rather than with the last reference.

        The traceback of a song's error refers to the track for as long as the caller keeps it.
        """
        if self._held is not None:
            self._held.drop()

    def stems_of(self, estimates: Estimates) -> FloatArray:
        """Return the wanted stems (stems, 2, n), computed from estimates of the needed ones."""
        if self.stems == self.needed:
            return estimates.sources
        made = dict(zip(self.needed, estimates.sources, strict=True))
        for stem, source in self._subtracted.items():
            made[stem] = estimates.mixture - made[source]
        if RESIDUAL in self.stems:
            made[RESIDUAL] = estimates.mixture - estimates.sources.sum(0)
        return np.stack([made[stem] for stem in self.stems])

    def report(self, separated: float | None = None) -> None:
        """Report the fraction that is separated, by default the previous one; raise if cancelled.

        Called in the caller's thread only, at least once per block of audio in every phase, so
        that the caller can distinguish slow work from a hang.
        """
        if separated is not None:
            self._fraction = max(self._fraction, separated * self.separation_share)
        if self._on_progress is not None:
            self._on_progress(self._fraction)
        self.check_cancelled()

    def report_encoded(self, encoded: float) -> None:
        """Report the fraction that is encoded of what was not when the separation ended."""
        share = self.separation_share
        self._fraction = max(self._fraction, share + _ENCODED * (1 - share) * encoded)
        self.report()

    def report_complete(self) -> None:
        """Report that the files are complete."""
        if self._on_progress is not None:
            self._on_progress(1.0)

    def reported(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Yield the blocks, reporting progress for each."""
        for block in blocks:
            self.report()
            yield block

    def check_cancelled(self) -> None:
        """Raise :class:`Cancelled` if the caller has requested it."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(f"{self.source.name}: stopped on request")

    def _most_held(self) -> int:
        """Return how many bytes of the song may be held in memory between its two passes."""
        source = self.source
        in_memory = isinstance(source, AudioArray) and source.sample_rate == self.model_rate
        frames = getattr(source, "frames", None) or 0
        duration = getattr(source, "duration", None) or frames / source.sample_rate
        if in_memory or duration > _LONGEST_HELD:
            return 0
        return _LONGEST_HELD * self.model_rate * FRAME_BYTES

    def _resampled(self, read: _Read) -> Iterator[FloatArray]:
        return resample(self._blocks(read), self.source.sample_rate, self.model_rate)

    def _blocks(self, read: _Read) -> Iterator[FloatArray]:
        for block in self.source.blocks():
            self.check_cancelled()
            read.frames += block.shape[1]
            read.checksum = crc32(np.ascontiguousarray(block).data, read.checksum)
            yield block


def _source(song: Song) -> Source:
    if isinstance(song, str | os.PathLike):
        return AudioFile(Path(song))
    if hasattr(song, "blocks"):
        return song
    if hasattr(song, "shape"):
        raise AudioError("array: its sample rate is missing; use AudioArray(samples, sample_rate)")
    raise AudioError(f"a song is a path or an AudioArray, not {type(song).__name__}")
