"""Batches that mix the windows of several songs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.family import HTDemucs
from aistemsplitter_engine.pipeline.batches import Batches
from aistemsplitter_engine.pipeline.separate import Part, separate
from fakes import FakeRuntime, FloatArray, music
from levels import measure

NETWORK = HTDemucs(Configuration(("one", "other"), segment=Fraction(1), t_layers=5))
LIMIT = 60  # seconds; of waits that end at once unless there is a bug


class Held(FakeRuntime):
    """A fake that waits in its first call, and records what it computes."""

    def __init__(self, concurrency: int = 1) -> None:
        super().__init__(NETWORK, concurrency=concurrency)
        self.started, self.go_on = threading.Event(), threading.Event()
        self.batches: list[list[float]] = []  # first samples of windows
        self.wanted: list[tuple[int, ...]] = []

    def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
        self.batches.append([float(segment[0, 0]) for segment in segments])
        self.wanted.append(sources)
        self.started.set()
        assert self.go_on.wait(LIMIT)
        return super().__call__(segments, sources)


def windows(*levels: int) -> list[FloatArray]:
    return [np.full((2, NETWORK.segment_frames), level, np.float32) for level in levels]


def test_a_batch_is_filled_up_with_windows_of_other_songs() -> None:
    runtime = Held()
    batches = Batches(runtime)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        futures = batches.submit(first, windows(0), (0, 1), 4)
        assert runtime.started.wait(LIMIT)
        futures += batches.submit(second, windows(1, 2), (0, 1), 4)
        futures += batches.submit(first, windows(3, 4, 5, 6), (0, 1), 4)
        futures += batches.submit(second, windows(7, 8), (1,), 4)
        futures += batches.submit(first, windows(9), (1,), 4)
        runtime.go_on.set()
        estimates = [future.result(LIMIT) for future in futures]
    assert runtime.batches == [[0], [1, 2, 3, 4], [5, 6], [7, 8, 9]]
    assert runtime.wanted == [(0, 1), (0, 1), (0, 1), (1,)]
    alone = FakeRuntime(NETWORK)
    for level, estimate in enumerate(estimates):
        sources = (0, 1) if level < 7 else (1,)
        assert np.array_equal(estimate, alone(windows(level), sources)[0])


def test_no_window_is_left_over() -> None:
    """Although one song's batches are smaller, and none mixes windows for different sources."""
    runtime, busy = Held(), threading.Event()
    runtime.go_on.set()
    batches = Batches(runtime)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        first.submit(busy.wait, LIMIT)
        futures = batches.submit(first, windows(*range(8)), (0, 1), 8)
        futures += batches.submit(second, windows(8, 9), (0,), 4)
        futures += batches.submit(second, windows(10, 11), (1,), 4)
        for future in futures:
            assert future.result(LIMIT).shape[1:] == (2, NETWORK.segment_frames)
        busy.set()
    assert runtime.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11]]


def test_an_error_reaches_all_songs_of_the_batch() -> None:
    class Broken(Held):
        def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
            estimates = super().__call__(segments, sources)
            if len(segments) == 2:
                raise MemoryError("no room")
            return estimates

    runtime = Broken()
    batches = Batches(runtime)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        [alone] = batches.submit(first, windows(0), (0,), 2)
        assert runtime.started.wait(LIMIT)
        mixed = batches.submit(first, windows(1), (0,), 2)
        mixed += batches.submit(second, windows(2), (0,), 2)
        runtime.go_on.set()
        assert alone.result(LIMIT).shape == (1, 2, NETWORK.segment_frames)
        for future in mixed:
            with pytest.raises(MemoryError, match="no room"):
                future.result(LIMIT)


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_mixed_songs_equal_single_songs(batch_size: int, concurrency: int) -> None:
    songs = [music(seconds, seed) for seed, seconds in enumerate((11.3, 4.2, 7.9, 0.6))]

    def separated(number: int, part: Part) -> FloatArray:
        song = songs[number]
        stream = separate(
            np.array_split(song, 7, axis=1),
            measure([song]),
            [part],
            [[0, 5000 * number]],
            overlap=0.25,
            batch_size=batch_size,
        )
        return np.concatenate([estimates.sources for estimates in stream], axis=2)

    runtime = Held(concurrency)
    batches = Batches(runtime)
    wanted = [(0, 1), (0, 1), (1,), (0, 1)]
    with ThreadPoolExecutor(len(songs)) as pool:
        running = [
            pool.submit(separated, number, Part(runtime, wanted[number], batches))
            for number in range(len(songs))
        ]
        assert runtime.started.wait(LIMIT)
        runtime.go_on.set()
        together = [song.result(LIMIT) for song in running]
    for number, got in enumerate(together):
        alone = separated(number, Part(FakeRuntime(NETWORK), wanted[number]))
        assert np.array_equal(got, alone)
