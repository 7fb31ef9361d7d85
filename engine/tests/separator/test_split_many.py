"""Splitting several songs at once with one separator."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray
from aistemsplitter_engine.errors import AudioError, Cancelled, ModelError, OptionError
from fakes import FakeRuntime, music, threads, use_fake
from stem_blocks import CountingSource
from stem_files import separator, song, tree, write_song


def several(tmp_path: Path) -> list[tuple[Path | AudioArray, Path]]:
    """Return songs of several kinds, with folders for their stems."""
    songs: list[Path | AudioArray] = [
        write_song(tmp_path / "a.wav", music(5, seed=1)),
        song(3, gain=9),
        write_song(tmp_path / "b.flac", music(7, seed=2), 48_000),
        AudioArray(music(4, seed=3), 22_050, "an array"),
        song(2),
    ]
    return [(source, tmp_path / "many" / str(n)) for n, source in enumerate(songs)]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_the_stems_are_those_of_single_songs(
    tmp_path: Path, fakes: list[FakeRuntime], jobs: int
) -> None:
    one = separator(shifts=1, seed=3)
    songs = several(tmp_path)
    outcomes = list(one.split_many(songs, jobs=jobs, format="flac", stems=["bass", "vocals"]))
    assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2, 3, 4]
    for outcome in outcomes:
        source, folder = songs[outcome.number]
        assert outcome.result is not None
        single = one.split(source, tmp_path / "single", format="flac", stems=["bass", "vocals"])
        assert tree(folder) == tree(tmp_path / "single")
        assert outcome.result.gain == single.gain
        assert {path.parent for path in outcome.result.stems.values()} == {folder}
    assert len(fakes) == 1
    assert threads() == set()


@pytest.mark.usefixtures("fakes")
def test_an_error_does_not_stop_the_others(tmp_path: Path) -> None:
    fine = write_song(tmp_path / "fine.wav", music(3))
    songs = [(tmp_path / "none.wav", tmp_path / "a"), (fine, tmp_path / "b")]
    songs += [(Path(__file__), tmp_path / "c"), (fine, tmp_path / "d")]
    outcomes = sorted(separator().split_many(songs, jobs=3), key=lambda outcome: outcome.number)
    assert [outcome.result is None for outcome in outcomes] == [True, False, True, False]
    assert "none.wav: cannot be opened" in str(outcomes[0].error)
    assert isinstance(outcomes[2].error, AudioError)
    assert tree(tmp_path / "b") == tree(tmp_path / "d")
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "message"),
    [({"stems": ["piano"]}, "has no stem"), ({"format": "ogg"}, "ogg"), ({"jobs": 0}, "jobs 0")],
)
def test_an_invalid_option_is_an_error_of_all(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    songs = [(song(2), tmp_path / name) for name in "ab"]
    with pytest.raises(OptionError, match=message):
        list(separator().split_many(songs, **options))
    assert [*tmp_path.iterdir()] == []


def test_a_model_that_cannot_be_loaded_is_an_error_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: object) -> None:
        raise ModelError("is damaged")

    use_fake(monkeypatch, damaged)
    with pytest.raises(ModelError, match="is damaged"):
        list(separator().split_many([(song(2), tmp_path / name) for name in "ab"]))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("fakes")
def test_progress_of_each_song(tmp_path: Path) -> None:
    heard: dict[int, list[float]] = {0: [], 1: [], 2: []}

    def listen(number: int, fraction: float) -> None:
        heard[number].append(fraction)

    songs = [(song(4), tmp_path / str(n)) for n in range(3)]
    list(separator().split_many(songs, jobs=2, on_progress=listen))
    for fractions in heard.values():
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1


def test_a_stop_keeps_the_work_of_all_songs_in_progress(
    tmp_path: Path, fakes: list[FakeRuntime]
) -> None:
    cancel = threading.Event()
    reached: set[int] = set()

    def listen(number: int, fraction: float) -> None:
        if fraction > 0.3:
            reached.add(number)
        if len(reached) == 2:
            cancel.set()

    songs = [(song(40), tmp_path / str(n)) for n in range(3)]
    with pytest.raises(Cancelled):
        list(separator().split_many(songs, jobs=2, on_progress=listen, cancel=cancel))
    assert threads() == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    outcomes = list(separator().split_many(songs, jobs=2, resume=True))
    calls = fakes[-1].calls
    separator().split(song(40), tmp_path / "whole")
    assert calls < 2.8 * fakes[-1].calls
    assert all(outcome.error is None for outcome in outcomes)
    for number in range(3):
        assert tree(tmp_path / str(number)) == tree(tmp_path / "whole")


@pytest.mark.usefixtures("fakes")
def test_songs_are_taken_when_it_is_their_turn(tmp_path: Path) -> None:
    """A generator may therefore open one song after the other."""
    opened: list[CountingSource] = []

    def songs() -> object:
        for number in range(3):
            opened.append(CountingSource(np.float32(0.1) * music(2)))
            yield opened[-1], tmp_path / str(number)

    outcomes = separator().split_many(songs(), jobs=1)
    next(outcomes)
    assert len(opened) == 1
    assert len([*outcomes]) == 2
