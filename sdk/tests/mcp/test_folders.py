"""Files that a manipulated model can read and write: none outside the allowed folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter import ConfigurationError, FileError, InputError, Split
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.testing import FakeService
from mcp_clients import Caller


@pytest.mark.parametrize(
    "song",
    [
        pytest.param("../private.wav", id="parent"),
        pytest.param("link.wav", id="link"),
        pytest.param("linked/private.wav", id="linked-folder"),
        pytest.param("{outside}/private.wav", id="absolute"),
        pytest.param("{inside}/../private.wav", id="absolute-parent"),
        pytest.param("{inside}-2/song.wav", id="similar-folder"),
        pytest.param("~/private.wav", id="home"),
        pytest.param("~no-such-user/song.wav", id="unknown-home"),
        pytest.param("/etc/passwd", id="system-file"),
        pytest.param("notes.txt", id="no-audio"),
        pytest.param("folder.wav", id="folder"),
        pytest.param("pipe.wav", id="pipe"),
        pytest.param("loop.wav", id="loop"),
        pytest.param("a\x00.wav", id="null"),
        pytest.param("x" * 300 + ".wav", id="long"),
        pytest.param("", id="empty"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_other_files_are_not_read(
    caller: Caller,
    service: FakeService,
    songs: Path,
    song: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(songs.parent))
    (songs / "link.wav").symlink_to(songs.parent / "private.wav")
    (songs / "linked").symlink_to(songs.parent)
    (songs / "loop.wav").symlink_to(songs / "loop.wav")
    (songs / "notes.txt").write_text("secret")
    (songs / "folder.wav").mkdir()
    os.mkfifo(songs / "pipe.wav")
    text = caller.error("split_file", song=song.format(inside=songs, outside=songs.parent))
    assert "_ERROR)" in text  # a message of this package, not of a crash
    assert service.requests == []


def test_a_missing_file_is_answered_with_those_that_exist(caller: Caller, songs: Path) -> None:
    (songs / ".hidden.wav").write_bytes(b"")
    (songs / "album").mkdir()
    (songs / "album" / "one.flac").write_bytes(b"")
    text = caller.error("split_file", song="song.wav")
    assert text.endswith(f"Audio files in {songs}: my song.wav, album/one.flac (FILE_ERROR).")


def test_stems_stay_below_the_output_folder(tmp_path: Path) -> None:
    folders = Folders([], tmp_path / "out")
    for name in ("../../evil.wav", "..", "/etc/passwd", "CON.wav", ".hidden", None):
        folder = folders.for_stems(Split(id="../split_0123", status="succeeded", filename=name))
        assert folder.parent == tmp_path / "out"
        assert not folder.name.startswith(".")


def test_each_local_request_has_a_folder_of_its_own(songs: Path, tmp_path: Path) -> None:
    folders, song = Folders([songs], tmp_path / "out"), songs / "my song.wav"
    first = folders.for_local(song, "htdemucs", None, "wav")
    assert first.parent == tmp_path / "out"
    assert folders.for_local(song, "htdemucs", None, "wav") == first
    others = [
        folders.for_local(song, "htdemucs_ft", None, "wav"),
        folders.for_local(song, "htdemucs", ["vocals"], "wav"),
        folders.for_local(song, "htdemucs", None, "flac"),
    ]
    song.write_bytes(b"another song")
    others.append(folders.for_local(song, "htdemucs", None, "wav"))
    assert len({first, *others}) == 5
    with pytest.raises(FileError, match="cannot be read"):
        folders.for_local(songs / "missing.wav", "htdemucs", None, "wav")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_in_the_folder_of_a_local_song(songs: Path, tmp_path: Path) -> None:
    folders, song = Folders([songs], tmp_path / "out"), songs / "my song.wav"
    folder = folders.for_local(song, "htdemucs", None, "wav")
    folder.mkdir(parents=True)
    (folder / "my song").symlink_to(songs)
    with pytest.raises(InputError, match="is a link"):
        folders.for_local(song, "htdemucs", None, "wav")


def test_files_are_not_suggested_to_unverified_callers(songs: Path) -> None:
    folders = Folders([songs], None, suggests=False)
    with pytest.raises(FileError, match="there is no such file") as raised:
        folders.find("song.wav")
    assert "my song" not in raised.value.message


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_does_not_lead_out_of_the_output_folder(tmp_path: Path) -> None:
    folders = Folders([], tmp_path / "out")
    split = Split(id="split_0123", status="succeeded", filename="song.wav")
    folder = folders.for_stems(split)
    folder.parent.mkdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link that leads out"):
        folders.for_stems(split)


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        pytest.param("missing", "no such folder", id="missing"),
        pytest.param(os.sep, "all audio files of this machine", id="whole-machine"),
    ],
)
def test_folders_that_are_refused(
    folder: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=problem):
        Folders([Path(folder)], None)
