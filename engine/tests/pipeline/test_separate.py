"""Separation as a stream, compared with separating the whole track at once."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.family import HTDemucs
from aistemsplitter_engine.families.htdemucs.loudness import MeanAndDeviation
from aistemsplitter_engine.pipeline.separate import Estimates, Part, separate
from aistemsplitter_engine.pipeline.windows import Mixture
from fakes import FakeRuntime, FloatArray
from levels import measure

RATE = 44_100


def network(seconds: float | Fraction = 1, sources: int = 2) -> HTDemucs:
    names = tuple(f"source {k}" for k in range(sources))
    return HTDemucs(Configuration(names, segment=Fraction(seconds), t_layers=5))


def noise(frames: int) -> FloatArray:
    """Return noise that is louder at the start, has an offset, and differs between the channels."""
    rng = np.random.default_rng(frames)
    audio = rng.standard_normal((2, frames)).astype(np.float32)
    return audio * np.linspace(0.5, 0.1, frames, dtype=np.float32) + np.float32(0.05)


def whole_track(
    runtime: FakeRuntime, track: FloatArray, overlap: float, offsets: Sequence[int]
) -> FloatArray:
    """Separate the whole track at once, with all stems in memory, as Demucs does."""
    mono = track.mean(0, dtype=np.float64)
    mean, std = mono.mean(), mono.std(ddof=1) if mono.size > 1 else 0.0
    normal = ((track - mean) / (std + 1e-8)).astype(np.float32)
    segment = runtime.network.segment_frames
    stride = int((1 - overlap) * segment)
    rise = np.arange(1, segment // 2 + 1, dtype=np.float32)
    triangle = np.concatenate([rise, np.arange(segment - segment // 2, 0, -1, dtype=np.float32)])
    triangle /= triangle.max()
    every = tuple(range(len(runtime.network.sources)))
    total = np.zeros((len(every), 2, track.shape[1]))
    for shift in offsets:
        shifted = np.pad(normal, ((0, 0), (shift, 0)))
        length = shifted.shape[1]
        roomy = np.pad(shifted, ((0, 0), (segment, segment)))
        out, weights = np.zeros((len(every), 2, length)), np.zeros(length)
        for offset in range(0, length, stride):
            size = min(segment, length - offset)
            left = (segment - size) // 2
            begin = offset - left + segment
            estimate = runtime([roomy[:, begin : begin + segment]], every)[0]
            out[:, :, offset : offset + size] += (
                triangle[:size] * estimate[:, :, left : left + size]
            )
            weights[offset : offset + size] += triangle[:size]
        total += (out / weights)[:, :, shift:]
    return (total / len(offsets) * (std + 1e-8) + mean).astype(np.float32)


def blocks_of(track: FloatArray, size: int) -> Iterator[FloatArray]:
    return (track[:, start : start + size] for start in range(0, track.shape[1], size))


def collect(stream: Iterator[Estimates], begin: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return mixture and sources of a whole stream; check that its blocks are contiguous."""
    mixture, sources = [], []
    for estimates in stream:
        assert estimates.start == begin
        assert estimates.mixture.shape[1] == estimates.sources.shape[2] > 0
        begin += estimates.mixture.shape[1]
        mixture.append(estimates.mixture)
        sources.append(estimates.sources)
    return np.concatenate(mixture, axis=1), np.concatenate(sources, axis=2)


# Hypothesis prefers small numbers, so each range of lengths has its own strategy.
lengths = st.sampled_from([1, 100, 5_000, 30_000, RATE, 5 * RATE, 25 * RATE]).flatmap(
    lambda longest: st.integers(max(1, longest // 2), longest)
)
MOST_SEGMENTS = 40  # more than three batches of nine, which is what may be in progress


@settings(max_examples=60)
@given(
    frames=lengths,
    block=st.integers(1, 200_000),
    segment=st.sampled_from([Fraction(1, 10), Fraction(1, 2), Fraction(2), Fraction(39, 5)]),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.77]),
    batch=st.integers(1, 9),
    offsets=st.lists(st.integers(0, 22_050), min_size=1, max_size=3),
    concurrency=st.integers(1, 3),
)
@example(1, 1, Fraction(39, 5), 0.25, 1, [0], 1)
@example(1, 1, Fraction(1, 10), 0.25, 3, [22_050, 0], 2)
@example(2, 1, Fraction(2), 0.0, 1, [22_050], 1)
@example(4410, 4410, Fraction(1, 10), 0.0, 1, [0], 1)  # exactly one segment
@example(4411, 4411, Fraction(1, 10), 0.0, 1, [0], 1)
@example(40 * RATE, 65_536, Fraction(39, 5), 0.25, 1, [0], 2)
@example(4 * RATE, 65_536, Fraction(1, 10), 0.0, 9, [0], 3)
def test_streaming_equals_the_whole_track(
    frames: int,
    block: int,
    segment: Fraction,
    overlap: float,
    batch: int,
    offsets: list[int],
    concurrency: int,
) -> None:
    runtime = FakeRuntime(network(segment), concurrency=concurrency)
    frames = min(frames, MOST_SEGMENTS * runtime.network.segment_frames)
    track = noise(frames)
    block = max(block, frames // 500)
    loudness = measure(blocks_of(track, block))
    stream = separate(
        blocks_of(track, block),
        loudness,
        [Part(runtime, (0, 1))],
        [offsets],
        overlap=overlap,
        batch_size=batch,
    )
    mixture, sources = collect(stream)
    assert np.array_equal(mixture, track)
    expected = whole_track(runtime, track, overlap, offsets)
    assert np.abs(sources - expected).max() <= 1e-5 * np.abs(expected).max()


def run(
    track: FloatArray,
    parts: Sequence[Part],
    offsets: Sequence[Sequence[int]] | None = None,
    **options: object,
) -> tuple[FloatArray, FloatArray]:
    options = {"overlap": 0.25, "batch_size": 1} | options
    stream = separate(
        blocks_of(track, 10_000), measure([track]), parts, offsets or [[0]] * len(parts), **options
    )
    return collect(stream, options.get("begin", 0))


@pytest.mark.parametrize("batch", [1, 3])
def test_digital_silence_is_separated_once(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    track = noise(40 * RATE)
    track[:, 3 * RATE : 37 * RATE] = 0
    offsets = [[0, 9000], [3]]

    def separated() -> tuple[int, FloatArray]:
        one, other = FakeRuntime(network(1)), FakeRuntime(network(2))
        parts = [Part(one, (0,)), Part(other, (1,))]
        _, sources = run(track, parts, offsets, batch_size=batch)
        return one.calls + other.calls, sources

    calls, sources = separated()
    monkeypatch.setattr(Mixture, "is_silent", lambda *_: False)
    every, expected = separated()
    assert np.array_equal(sources, expected)
    assert calls < every / 2


def test_models_of_a_bag_keep_their_order_and_their_segments() -> None:
    track = noise(4 * RATE)
    first, second = FakeRuntime(network(1, 4)), FakeRuntime(network(2, 4))
    offsets = [[100, 9000], [3, 22_050]]
    _, got = run(track, [Part(first, (3, 0)), Part(second, (1,))], offsets)
    alone = (
        whole_track(first, track, 0.25, offsets[0]),
        whole_track(second, track, 0.25, offsets[1]),
    )
    expected = np.stack([alone[0][3], alone[0][0], alone[1][1]])
    assert np.abs(got - expected).max() < 1e-5


def test_leaving_out_sources_or_models_changes_no_sample() -> None:
    track, runtime = noise(3 * RATE), FakeRuntime(network(1, 4))
    other = FakeRuntime(network(1, 4))
    _, all_of_it = run(track, [Part(runtime, (0, 1, 2, 3)), Part(other, (2,))], [[5, 7], [9, 11]])
    _, one = run(track, [Part(runtime, (2,))], [[5, 7]])
    assert np.array_equal(one[0], all_of_it[2])
    _, last = run(track, [Part(other, (2,))], [[9, 11]])
    assert np.array_equal(last[0], all_of_it[4])


@pytest.mark.parametrize("begin", [1, 33_075, 100_000, 4 * RATE + 8, 4 * RATE + 9])
@pytest.mark.parametrize("batch", [1, 3])
def test_starting_later_gives_identical_samples(begin: int, batch: int) -> None:
    """And computes only the segments that contribute to the remaining samples."""
    track = noise(4 * RATE + 10)
    offsets = [[0, 15_000]]
    whole = FakeRuntime(network(1))
    mixture, sources = run(track, [Part(whole, (0, 1))], offsets, batch_size=batch)
    rest = FakeRuntime(network(1))
    later_mixture, later = run(track, [Part(rest, (0, 1))], offsets, batch_size=batch, begin=begin)
    assert np.array_equal(later_mixture, mixture[:, begin:])
    assert np.array_equal(later, sources[:, :, begin:])
    skipped = whole.calls - rest.calls
    assert skipped >= 2 * ((begin - RATE) // int(0.75 * RATE))


def test_starting_at_the_end_computes_nothing() -> None:
    track, runtime, fractions = noise(RATE), FakeRuntime(network(1)), []
    stream = separate(
        [track],
        measure([track]),
        [Part(runtime, (0,))],
        [[0]],
        overlap=0.25,
        batch_size=1,
        begin=RATE,
        on_progress=fractions.append,
    )
    assert list(stream) == []
    assert runtime.calls == 0
    assert fractions == [1.0]


@pytest.mark.parametrize(("batch", "shifts"), [(1, 1), (1, 2), (4, 1), (4, 3)])
def test_progress_is_the_share_of_finished_segments(batch: int, shifts: int) -> None:
    track, runtime, fractions = noise(10 * RATE), FakeRuntime(network(1), concurrency=1), []
    offsets = [[1000 * k for k in range(shifts)]]
    run(track, [Part(runtime, (0,))], offsets, batch_size=batch, on_progress=fractions.append)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    steps = np.diff(fractions)
    assert (steps > 0).all()
    assert (np.abs(steps * runtime.calls - np.round(steps * runtime.calls)) < 1e-9).all()
    assert steps.max() <= batch / runtime.calls + 1e-9
    assert runtime.calls == shifts * 14 if shifts < 3 else runtime.calls > 0


def workers() -> int:
    return sum(thread.name.startswith("separate") for thread in threading.enumerate())


class StopError(Exception):
    pass


def test_an_exception_of_the_listener_stops_before_the_next_segment() -> None:
    track, runtime = noise(60 * RATE), FakeRuntime(network(1), concurrency=2)

    def listen(fraction: float) -> None:
        if fraction >= 0.1:
            raise StopError

    with pytest.raises(StopError):
        run(track, [Part(runtime, (0,))], on_progress=listen)
    assert runtime.calls <= 0.1 * 80 + 5  # those in progress
    assert workers() == 0


def test_an_error_of_the_network_is_raised() -> None:
    class Broken(FakeRuntime):
        def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
            if self.calls == 3:
                raise MemoryError("no room")
            return super().__call__(segments, sources)

    with pytest.raises(MemoryError, match="no room"):
        run(noise(20 * RATE), [Part(Broken(network(1), concurrency=1), (0,))])
    assert workers() == 0


def test_an_error_of_the_song_is_raised() -> None:
    def damaged() -> Iterator[FloatArray]:
        yield noise(2 * RATE)
        raise OSError("damaged")

    loudness = MeanAndDeviation(20 * RATE, 0.0, 1.0)
    runtime = FakeRuntime(network(1))
    stream = separate(damaged(), loudness, [Part(runtime, (0,))], [[0]], overlap=0.25, batch_size=1)
    with pytest.raises(OSError, match="damaged"):
        collect(stream)
    assert workers() == 0


def test_closing_the_stream_leaves_no_thread() -> None:
    track = noise(20 * RATE)
    stream = separate(
        blocks_of(track, 65_536),
        measure([track]),
        [Part(FakeRuntime(network(1)), (0,))],
        [[0]],
        overlap=0.25,
        batch_size=1,
    )
    next(stream)
    assert workers() > 0
    stream.close()
    assert workers() == 0


def test_memory_does_not_grow_with_the_track() -> None:
    """The audio is generated on the fly, so only the engine's memory is measured."""
    block = noise(65_536)

    def peak(minutes: int) -> int:
        frames = minutes * 60 * RATE

        def song() -> Iterator[FloatArray]:
            for start in range(0, frames, 65_536):
                yield block[:, : frames - start]

        runtime = FakeRuntime(network(4, 1), concurrency=1)
        tracemalloc.start()
        try:
            done = 0
            stream = separate(
                song(), measure(song()), [Part(runtime, (0,))], [[0]], overlap=0.25, batch_size=2
            )
            for estimates in stream:
                done += estimates.sources.shape[2]
            assert done == frames
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short, long = peak(1), peak(8)
    # It depends on what the two threads do at the same time; the song is 148 MB longer.
    assert long < 1.5 * short
    assert long < 60e6
