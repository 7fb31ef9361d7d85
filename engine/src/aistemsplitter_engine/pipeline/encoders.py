"""Encoding stems from the spool while it grows, each in its own thread."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Executor, wait

import numpy as np

from aistemsplitter_engine.audio import StemWriter, TaggedSource, resample
from aistemsplitter_engine.pipeline.export import Export
from aistemsplitter_engine.pipeline.spool import Spool
from aistemsplitter_engine.pipeline.track import Track

_POLL_SECONDS = 0.1


class Encoders:
    """Threads that encode the stems of a spool into files in its folder, until its end.

    If stems are rescaled and a sample exceeds full scale, the files are deleted: all stems will be
    encoded again, with a gain. From there on, only the peak is measured.
    """

    def __init__(
        self, pool: Executor, track: Track, spool: Spool, export: Export, gain: float = 1.0
    ) -> None:
        self._track, self._spool, self._export, self._gain = track, spool, export, gain
        self._too_loud = threading.Event()
        self._frames = dict.fromkeys(track.stems, 0)  # encoded so far
        self._total = len(track.stems) * track.frames_at(export.rate(track))
        self._running = [pool.submit(self._encode, stem) for stem in track.stems]

    def check(self) -> None:
        """Raise the error that has ended one of the threads, if any, such as a full disk."""
        for encoder in self._running:
            if encoder.done():
                encoder.result()

    def peak(self) -> float:
        """Wait until all are done; return the peak of all stems before the gain.

        Reports progress as long as any thread advances.
        """
        before = encoded = sum(self._frames.values())
        while True:
            done, running = wait(self._running, _POLL_SECONDS, FIRST_EXCEPTION)
            peaks = [encoder.result() for encoder in done]
            if not running:
                return max(peaks)
            if (now := sum(self._frames.values())) > encoded:
                encoded = now
                # Otherwise, the stems will be encoded again.
                done_once = not self._too_loud.is_set()
                share = (encoded - before) / (self._total - before) if done_once else 0.0
                self._track.report_encoded(share)

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
            tags=song.tags if isinstance(song, TaggedSource) else None,
            cover=song.cover if isinstance(song, TaggedSource) else None,
            frames=frames,
        )
        with writer:
            for block in resample(self._spool.follow(stem), track.model_rate, rate, frames):
                track.check_cancelled()
                self._frames[stem] += block.shape[1]
                if export.mono:
                    block = block.mean(0, keepdims=True, dtype=np.float32)
                peak = max(peak, float(block.max()), -float(block.min()))
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
