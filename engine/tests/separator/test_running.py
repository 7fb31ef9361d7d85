"""Progress, cancelling, failing networks, and threads that share a separator."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.errors import Cancelled
from fakes import BrokenRuntime, FakeRuntime, music, threads, use_fake
from stem_blocks import CountingSource, joined
from stem_files import RATE, song, steps


@pytest.mark.usefixtures("bag")
def test_progress(fakes: list[FakeRuntime]) -> None:
    fractions: list[float] = []
    joined(
        Separator("htdemucs_ft", shifts=2, seed=0).separate(song(5), on_progress=fractions.append)
    )
    total = sum(fake.calls for fake in fakes)
    assert steps(fractions) == pytest.approx([done / total for done in range(total + 1)])


def test_cancelled_before_the_first_segment(fakes: list[FakeRuntime]) -> None:
    cancel, source = threading.Event(), CountingSource(music(1))
    cancel.set()
    with pytest.raises(Cancelled, match="a song: stopped on request"):
        next(Separator("htdemucs_tiny").separate(source, cancel=cancel))
    assert (source.read, fakes) == (1, [])


def test_cancelled_between_two_segments(fakes: list[FakeRuntime]) -> None:
    cancel, fractions = threading.Event(), []

    def listen(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0.3:
            cancel.set()

    blocks = Separator("htdemucs_tiny").separate(song(60), cancel=cancel, on_progress=listen)
    with pytest.raises(Cancelled):
        joined(blocks)
    assert 0.3 < fractions[-1] < 0.4
    assert threads() == set()
    assert fakes[0].calls <= 0.4 * 27 + 4  # and those that were already submitted


@pytest.mark.usefixtures("fakes")
def test_closing_the_stream_leaves_no_thread() -> None:
    blocks = Separator("htdemucs_tiny").separate(song(60), sample_rate=48_000)
    next(blocks)
    assert threads() != set()
    blocks.close()
    assert threads() == set()


def test_a_network_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake(monkeypatch, BrokenRuntime)
    with pytest.raises(RuntimeError, match="no memory left"):
        joined(Separator("htdemucs_tiny").separate(song(30)))
    assert threads() == set()


def test_threads_may_share_a_separator(fakes: list[FakeRuntime]) -> None:
    separator, sources = Separator("htdemucs_tiny"), [song(s) for s in (3, 5, 7, 9)]
    together = threading.Barrier(4)

    def separated(source: AudioArray) -> dict[str, FloatArray]:
        together.wait(60)
        return joined(separator.separate(source))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(separated, sources))
    assert len(fakes) == 1
    for source, stems in zip(sources, results, strict=True):
        expected = joined(separator.separate(source))
        assert all(np.array_equal(stems[stem], expected[stem]) for stem in expected)


@pytest.mark.network
def test_threads_may_share_a_real_network(tiny: Separator) -> None:
    sources = [song(3), AudioArray(music(4, seed=1), RATE)]
    expected = [joined(tiny.separate(source)) for source in sources]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda source: joined(tiny.separate(source)), sources))
    for got, want in zip(results, expected, strict=True):
        assert all(np.array_equal(got[stem], want[stem]) for stem in want)
