"""The separation of tracks by one model, always with the same options."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from aistemsplitter_engine.pipeline.model import Model
from aistemsplitter_engine.pipeline.read_ahead import read_ahead
from aistemsplitter_engine.pipeline.separate import Estimates, Progress, separate
from aistemsplitter_engine.pipeline.stems import Block

if TYPE_CHECKING:
    from aistemsplitter_engine.arrays import FloatArray
    from aistemsplitter_engine.families.base import Loudness
    from aistemsplitter_engine.pipeline.track import Track


class TrackSeparation(Protocol):
    """The separation of tracks by one model or a combination."""

    @property
    def seed(self) -> int | None:
        """Seed of the offsets, or None for a random one."""

    @property
    def batch_size(self) -> int | None:
        """Segments computed at once, or None for the runtime's default."""

    def identity(self, track: Track) -> dict[str, object]:
        """Return all that determines a track's stems; only a run with the same is resumed."""

    def stems(self, track: Track, seed: int | None, begin: int = 0) -> Generator[FloatArray]:
        """Yield blocks (stems, 2, n) at the model's rate, from sample ``begin`` on."""


def resampled(separation: TrackSeparation, track: Track, rate: int) -> Generator[Block]:
    """Yield a track's stems at a sample rate in Hz, and close the track."""
    from aistemsplitter_engine.audio import resample

    with closing(track), closing(separation.stems(track, separation.seed)) as blocks:
        start, frames = 0, track.frames_at(rate)
        stacked = (block.reshape(-1, block.shape[2]) for block in blocks)
        for block in resample(stacked, track.model_rate, rate, frames):
            pairs = block.reshape(len(track.stems), 2, -1)
            yield Block(start, rate, dict(zip(track.stems, pairs, strict=True)), frames)
            start += block.shape[1]
        for _ in blocks:  # none, but the song's end shows whether it has changed
            pass


@dataclass(frozen=True, slots=True)
class Separation:
    """A model and the options of :class:`Separator`.

    Attributes:
        version: The engine's version.
        seed: Seed of the offsets, or None for a random one.
        batch_size: Segments computed at once, or None for the runtime's default.
    """

    version: str
    model: Model
    shifts: int
    seed: int | None
    overlap: float
    batch_size: int | None

    def identity(self, track: Track) -> dict[str, object]:
        """Return all that determines a track's stems; only a run with the same is resumed."""
        networks = self.model.identity(track.needed)
        return {
            "engine": self.version,
            "song": track.identity,
            "stems": track.stems,
            "networks": networks,
            "shifts": self.shifts,
            "seed": self.seed,
            "overlap": self.overlap,
        }

    def stems(self, track: Track, seed: int | None, begin: int = 0) -> Generator[FloatArray]:
        """Yield blocks (stems, 2, n) at the model's rate, from sample ``begin`` on."""
        self.model.parts(track.needed)  # which load while the song is read
        loudness = cast("Loudness", track.loudness)
        with closing(read_ahead(track.audio())) as audio:
            mixture = track.reported(audio)
            estimates = self.estimates(
                track.needed, mixture, loudness, seed, begin=begin, on_progress=track.report
            )
            with closing(estimates):
                for block in estimates:
                    yield track.stems_of(block)
            for _ in track.reported(audio):  # its end shows whether the song has changed
                pass

    def estimates(
        self,
        needed: Sequence[str],
        mixture: Iterable[FloatArray],
        loudness: Loudness,
        seed: int | None,
        *,
        begin: int,
        on_progress: Progress,
    ) -> Generator[Estimates]:
        """Yield estimates of the needed sources of a mixture, given as blocks (2, n)."""
        parts = self.model.parts(needed)
        present = [part for part in parts if part is not None]
        offsets = present[0].runtime.network.draw_offsets(
            len(parts), self.shifts, seed, loudness.frames, self.overlap
        )
        return separate(
            mixture,
            loudness,
            present,
            [offset for offset, part in zip(offsets, parts, strict=True) if part is not None],
            overlap=self.overlap,
            batch_size=self.batch_size or present[0].runtime.batch_size,
            begin=begin,
            on_progress=on_progress,
        )
