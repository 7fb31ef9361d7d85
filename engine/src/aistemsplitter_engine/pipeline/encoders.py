"""Encoding stems from the spool while it grows, on threads that all songs share."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import numpy as np

from aistemsplitter_engine.audio import StemWriter, TaggedSource, resample
from aistemsplitter_engine.pipeline.export import Export
from aistemsplitter_engine.pipeline.shared_threads import Task
from aistemsplitter_engine.pipeline.spool import Spool
from aistemsplitter_engine.pipeline.track import Track

_POLL_SECONDS = 0.1


class Encoders:
    """Tasks that encode the stems of a spool into files in its folder, until its end.

    If stems are rescaled and a sample exceeds full scale, the files are deleted: all stems will be
    encoded again, with a gain. From there on, only the peak is measured.
    """

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        track: Track,
        spool: Spool,
        export: Export,
        gain: float,
        *,
        is_rescaled: bool = False,
    ) -> None:
        self._track, self._spool, self._export, self._gain = track, spool, export, gain
        self._rescales = export.rescales and not is_rescaled
        self._too_loud = threading.Event()
        self._frames = dict.fromkeys(track.stems, 0)  # encoded so far
        self._total = len(track.stems) * track.frames_at(export.rate(track))
        tasks = [Task(threads, self._encode(stem)) for stem in track.stems]
        self._results = [task.result for task in tasks]
        spool.on_change += [task.wake for task in tasks]

    def check(self) -> None:
        """Raise the error that has ended one of the tasks, if any, such as a full disk."""
        for encoder in self._results:
            if encoder.done():
                encoder.result()

    def wait(self) -> None:
        """Wait until no task uses the spool; it must have ended."""
        wait(self._results)

    def peak(self) -> float:
        """Wait until all are done; return the peak of all stems after the gain.

        Reports progress as long as any of them advances.
        """
        before = encoded = sum(self._frames.values())
        while True:
            done, running = wait(self._results, _POLL_SECONDS, FIRST_EXCEPTION)
            peaks = [encoder.result() for encoder in done]
            if not running:
                return max(peaks)
            if (now := sum(self._frames.values())) > encoded:
                encoded = now
                # Otherwise, the stems will be encoded again.
                done_once = not self._too_loud.is_set()
                share = (encoded - before) / (self._total - before) if done_once else 0.0
                self._track.report_encoded(share)

    def _encode(self, stem: str) -> Generator[bool, None, float]:
        """Encode a block for each item, which is False if there is none yet; return the peak."""
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
                yield block.shape[1] > 0
                if block.shape[1] == 0:
                    continue
                self._frames[stem] += block.shape[1]
                if export.mono:
                    block = block.mean(0, keepdims=True, dtype=np.float32)
                if self._gain != 1:
                    block = block * np.float32(self._gain)
                peak = max(peak, float(block.max()), -float(block.min()))
                if peak > 1 and self._rescales:
                    self._too_loud.set()
                if self._too_loud.is_set():
                    writer.abort()
                    continue
                if export.clamps:
                    block = block.clip(-1, 1)
                writer.write(block)
        return peak
