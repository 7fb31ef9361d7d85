"""Integrated loudness of a stream, by EBU R128."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
from av import AudioFrame
from av.filter import Graph

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import interleaved

_SILENCE = -70.0  # LUFS: what is quieter, or shorter than 400 ms, is not measured


class LoudnessMeter:
    """Measures stereo block by block, in constant memory, with FFmpeg's filter ``ebur128``."""

    def __init__(self, sample_rate: int) -> None:
        self._rate, self._frames = sample_rate, 0
        self._measured = _SILENCE
        self._graph = Graph()
        self._graph.link_nodes(
            self._graph.add(
                "abuffer",
                f"sample_rate={sample_rate}:sample_fmt=flt:channel_layout=stereo"
                f":time_base=1/{sample_rate}",
            ),
            self._graph.add("ebur128", "metadata=1"),
            self._graph.add("abuffersink"),
        ).configure()

    def add(self, block: FloatArray) -> None:
        """Add samples (2, n)."""
        if block.shape[1] == 0:
            return
        packed = np.ascontiguousarray(interleaved(block).reshape(1, -1), np.float32)
        frame = AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._frames
        self._frames += block.shape[1]
        self._push(frame)

    def integrated(self) -> float | None:
        """Return the loudness in LUFS; None for silence. Nothing can be added afterwards."""
        self._push(None)
        return self._measured if _SILENCE < self._measured < math.inf else None

    def _push(self, frame: AudioFrame | None) -> None:
        self._graph.push(frame)
        while True:
            try:
                measured = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if (integrated := measured.metadata.get("lavfi.r128.I")) is not None:
                self._measured = float(integrated)
