"""Stems into files: encoded from the spool while it grows, each in a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from aistemsplitter_engine.audio import AudioFile, OutputFormat, StemWriter, resample
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.model import MODEL_RATE
from aistemsplitter_engine.options import Clip
from aistemsplitter_engine.spool import Spool
from aistemsplitter_engine.track import Track

_RATES = range(1_000, 768_001)  # Hz, as of songs that can be read


def check_sample_rate(rate: int | None) -> None:
    """Raise OptionError for a rate that stems cannot have; None is the song's own."""
    if rate is not None and rate not in _RATES:
        raise OptionError(f"sample rate {rate} is not between {_RATES[0]} and {_RATES[-1]} Hz")


@dataclass(frozen=True, slots=True)
class Export:
    """Where stems go and what they are there; see :meth:`Separator.split`.

    Raises:
        OptionError: there is no such way to deal with full scale, or no such sample rate.
    """

    folder: Path
    format: OutputFormat
    clip: Clip = "rescale"
    mono: bool = False
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.clip not in get_args(Clip):
            raise OptionError(f"clip {self.clip!r} is not one of {', '.join(get_args(Clip))}")
        check_sample_rate(self.sample_rate)

    @property
    def channels(self) -> int:
        """Channels of a stem's file."""
        return 1 if self.mono else 2

    @property
    def rescales(self) -> bool:
        """Whether stems over full scale are turned down."""
        return self.clip == "rescale" and not self.format.is_float

    @property
    def clamps(self) -> bool:
        """Whether samples over full scale are cut off."""
        return self.clip == "clamp" and not self.format.is_float

    def name(self, stem: str) -> str:
        """Tell the name of a stem's file."""
        return f"{stem}.{self.format.extension}"

    def rate(self, track: Track) -> int:
        """Tell the sample rate of a track's stems in Hz."""
        return self.format.sample_rate(self.sample_rate or track.source.sample_rate)


class Encoders:
    """Threads that encode the stems of a spool into files in its folder, following it to its end.

    Once a sample exceeds full scale where stems are turned down for that, the files are given up:
    all are to be encoded again, with a gain, and only the peak is still looked for.
    """

    def __init__(
        self, pool: Executor, track: Track, spool: Spool, export: Export, gain: float = 1.0
    ) -> None:
        self._track, self._spool, self._export, self._gain = track, spool, export, gain
        self._too_loud = threading.Event()
        self._running = [pool.submit(self._encode, stem) for stem in track.stems]

    def check(self) -> None:
        """Raise what ended one of them, such as a full disk."""
        for encoder in self._running:
            if encoder.done():
                encoder.result()

    def peak(self) -> float:
        """Wait until all are done; return the highest sample before the gain, of all stems."""
        return max(encoder.result() for encoder in as_completed(self._running))

    def _encode(self, stem: str) -> float:
        track, export, peak = self._track, self._export, 0.0
        rate = export.rate(track)
        frames = track.frames_at(rate)
        song = track.source
        writer = StemWriter(
            self._spool.folder / export.name(stem),
            export.format,
            rate,
            export.channels,
            tags=song.tags if isinstance(song, AudioFile) else None,
            cover=song.cover if isinstance(song, AudioFile) else None,
            frames=frames,
        )
        with writer:
            for block in resample(self._spool.follow(stem), MODEL_RATE, rate, frames):
                track.check_cancelled()
                if export.mono:
                    block = block.mean(0, keepdims=True, dtype=np.float32)
                peak = max(peak, float(np.abs(block).max()))
                if peak > 1 and export.rescales and self._gain == 1:
                    self._too_loud.set()
                if self._too_loud.is_set():
                    writer.abort()
                    continue
                if self._gain != 1:
                    block = block * np.float32(self._gain)
                if export.clamps:
                    block = block.clip(-1, 1)
                writer.write(block)
        return peak
