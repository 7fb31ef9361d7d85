"""A song is decoded once if it can be held in memory until it is separated, else twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.pipeline import memory, track
from aistemsplitter_engine.pipeline.memory import Budget
from fakes import FakeRuntime, music
from stem_blocks import CountingSource, joined
from stem_files import RATE

SONG = music(6)


@pytest.fixture(autouse=True)
def fakes(fakes: list[FakeRuntime]) -> list[FakeRuntime]:
    """Use fake networks in all tests of this module."""
    return fakes


def stems(source: CountingSource | AudioArray) -> dict[str, FloatArray]:
    return joined(Separator("htdemucs_tiny").separate(source))


def taken_while_reading(monkeypatch: pytest.MonkeyPatch, source: AudioArray) -> list[int]:
    """Separate audio; return how much of the memory budget was taken at each of its blocks."""
    taken: list[int] = []
    blocks = AudioArray.blocks

    def watched(self: AudioArray) -> Iterator[FloatArray]:
        for block in blocks(self):
            taken.append(Budget._taken)
            yield block

    monkeypatch.setattr(AudioArray, "blocks", watched)
    stems(source)
    return taken


def test_a_short_song_is_read_once() -> None:
    source = CountingSource(SONG)
    stems(source)
    assert source.read == 1
    assert Budget._taken == 0


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_long_song_is_read_twice_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    held, read = CountingSource(SONG), CountingSource(SONG)
    held.sample_rate = read.sample_rate = rate
    once = stems(held)
    monkeypatch.setattr(track, "_LONGEST_HELD", 2)
    twice = stems(read)
    assert (held.read, read.read) == (1, 2)
    assert all(np.array_equal(once[stem], twice[stem]) for stem in once)


@pytest.mark.parametrize(("free", "reads"), [(5 * SONG.nbytes, 1), (3 * SONG.nbytes, 2), (0, 2)])
def test_a_song_is_held_in_a_quarter_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, reads: int
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    source = CountingSource(SONG)
    stems(source)
    assert source.read == reads
    assert Budget._taken == 0


def test_songs_in_progress_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 400)
    first = Budget()
    assert first.take(60)
    monkeypatch.setattr(memory, "free_memory", lambda: 340)
    second = Budget()
    assert not second.take(41)
    assert second.take(40)
    first.release(50)
    assert second.take(50)
    assert not first.take(1)
    second.release()
    assert first.take(90)
    first.release()


def test_a_song_that_states_its_length_is_not_held_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(track, "_LONGEST_HELD", 5)
    assert set(taken_while_reading(monkeypatch, AudioArray(SONG, 48_000))) == {0}


@pytest.mark.parametrize(("rate", "is_held"), [(RATE, False), (48_000, True)])
def test_audio_in_memory_is_held_only_if_it_was_resampled(
    monkeypatch: pytest.MonkeyPatch, rate: int, is_held: bool
) -> None:
    assert any(taken_while_reading(monkeypatch, AudioArray(SONG, rate))) == is_held


def test_a_file_is_decoded_once(tmp_path: Path, songs: Path) -> None:
    separator = Separator("htdemucs_tiny")
    mixture = songs / "sample" / "mixture.flac"
    copy = tmp_path / "song.flac"
    copy.write_bytes(mixture.read_bytes())
    blocks = separator.separate(copy, stems=["vocals"])
    first = next(blocks)
    copy.unlink()
    rest = [block.stems["vocals"] for block in blocks]
    whole = joined(separator.separate(mixture, stems=["vocals"]))["vocals"]
    assert np.array_equal(np.concatenate([first.stems["vocals"], *rest], axis=1), whole)
