"""Songs that are missing, empty, of an unsupported type, or change while they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.pipeline import track
from fakes import FakeRuntime, music, threads
from stem_blocks import CountingSource, joined

ONE = music(6)
LOUDER = ONE.copy()
LOUDER[0, -1] += 0.1


def test_the_song_is_read_when_the_first_block_is_requested(fakes: list[FakeRuntime]) -> None:
    source = CountingSource(music(1))
    blocks = Separator("htdemucs_tiny").separate(source)
    assert (source.read, fakes) == (0, [])
    next(blocks)
    assert source.read == 1
    blocks.close()
    with pytest.raises(AudioError, match=r"none\.wav: cannot be opened: No such file"):
        Separator("htdemucs_tiny").separate("none.wav")  # opened immediately


def test_a_missing_song_is_named_before_networks_are_loaded(
    fakes: list[FakeRuntime], tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=r"^typo\.mp3: cannot be opened: No such file"):
        Separator("htdemucs_tiny").split("typo.mp3", tmp_path / "out")
    assert fakes == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("song", "message"),
    [
        (
            np.zeros((2, 10), np.float32),
            "array: its sample rate is missing; use AudioArray(samples, sample_rate)",
        ),
        (5, "a song is a path or an AudioArray, not int"),
        (None, "a song is a path or an AudioArray, not NoneType"),
    ],
)
def test_songs_of_another_type(tmp_path: Path, song: Any, message: str) -> None:
    separator = Separator("htdemucs_tiny")
    for call in (separator.separate, lambda song: separator.split(song, tmp_path / "out")):
        with pytest.raises(AudioError) as caught:
            call(song)
        assert str(caught.value) == message


@pytest.mark.usefixtures("fakes")
def test_a_song_without_audio() -> None:
    with pytest.raises(AudioError, match=r"^a song: holds no audio$"):
        next(Separator("htdemucs_tiny").separate(CountingSource(np.zeros((2, 0), np.float32))))


@pytest.fixture
def read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read all songs twice, as those that are too long to be held in memory."""
    monkeypatch.setattr(track, "_LONGEST_HELD", 0)


@pytest.mark.usefixtures("fakes", "read_twice")
@pytest.mark.parametrize("second", [LOUDER, ONE[:, :-1], ONE[:, :1], np.tile(ONE, 3)])
def test_a_song_that_changes_between_the_passes(second: FloatArray) -> None:
    with pytest.raises(AudioError, match=r"^a song: changed while it was read; try again$"):
        joined(Separator("htdemucs_tiny").separate(CountingSource(ONE, second)))
    assert threads() == set()


@pytest.mark.usefixtures("fakes", "read_twice")
def test_a_change_is_seen_where_the_song_ends_with_a_segment() -> None:
    """The song is read to its end even if no further segment needs it."""
    audio = music(3)
    other = audio.copy()
    other[:, 0] = 0.5
    separator = Separator("htdemucs_tiny", overlap=0)  # segments of 3 s
    with pytest.raises(AudioError, match="changed while it was read"):
        joined(separator.separate(CountingSource(audio, other)))
