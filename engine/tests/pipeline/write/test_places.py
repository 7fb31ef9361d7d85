"""Destinations that cannot be written, and two runs in the same folder."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from filelock import FileLock

from aistemsplitter_engine.errors import OutputError
from fakes import music
from stem_files import STEMS, WORK, read_all, separator, song, stop, write_song


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, reason in (
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("new/" + "x" * 300, "File name too long"),
    ):
        with pytest.raises(OutputError, match=f"{place}.*: {reason}$"):
            separator().split(song(1), tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_with_the_name_of_a_stem(tmp_path: Path) -> None:
    (tmp_path / "other.wav").mkdir()
    with pytest.raises(
        OutputError, match=r"other\.wav: is a folder, but a stem would be written there"
    ):
        separator().split(song(1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.wav"]


@pytest.mark.parametrize("link", [False, True])
def test_a_song_that_a_stem_would_overwrite(tmp_path: Path, link: bool) -> None:
    song = write_song(tmp_path / "vocals.wav", music(1))
    if link:
        (tmp_path / "link").symlink_to(tmp_path)
        song = tmp_path / "link" / "vocals.wav"
    before = song.read_bytes()
    with pytest.raises(
        OutputError, match=r"vocals\.wav: is the song itself; choose another folder"
    ):
        separator().split(song, tmp_path)
    assert song.read_bytes() == before
    separator().split(song, tmp_path, stems=["drums"])  # the other stems do not overwrite it
    assert song.read_bytes() == before


def test_a_song_in_the_folder_of_its_stems(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", music(1))
    separator().split(song, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav", *(f"{s}.wav" for s in STEMS)}


Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_enough_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 stems of 10 s take 3.5 MB each in the spool and 1.8 MB as WAV of 16 bits."""
    free = [20e6]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free[0]))
    with pytest.raises(OutputError) as caught:
        separator().split(song(10), tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: writing the stems needs up to 21 MB, and only 20 MB are"
        " free; free up space or choose another folder"
    )
    assert list(tmp_path.iterdir()) == []
    free[0] = 21.2e6
    stop(song(10), tmp_path / "out")
    free[0] = 16e6  # samples that are already in the spool need no more space
    separator().split(song(10), tmp_path / "out", resume=True)


def test_another_run_in_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def begin_another(fraction: float) -> None:
        if fraction == 0:
            with pytest.raises(OutputError, match="out: another run is writing stems here; wait"):
                separator().split(song(1), folder)

    separator().split(song(10), folder, on_progress=begin_another)
    assert len(read_all(folder)) == 4


def test_a_lock_of_a_killed_run_is_ignored(tmp_path: Path) -> None:
    (tmp_path / f"{WORK}.lock").write_text("12345")
    separator().split(song(1), tmp_path)
    assert len(read_all(tmp_path)) == 4


def test_the_lock_file_is_deleted_before_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted afterwards, it might be the lock of another run, and a third run could start."""
    release = FileLock.release

    def look(self: FileLock, force: bool = False) -> None:
        assert not Path(self.lock_file).exists()
        release(self, force)

    monkeypatch.setattr(FileLock, "release", look)
    separator().split(song(1), tmp_path)
