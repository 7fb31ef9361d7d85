"""Stems of an earlier run are kept only if they are known to be this song's, made the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from aistemsplitter_engine import add_ensemble, add_model, remove_model
from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.weights.store import TINY
from cli_songs import split, write_song

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("fakes")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def make(song: Path, gain: float = 1) -> Path:
    return write_song(song, 0.2, gain)


def vocals(folder: Path) -> bytes:
    return (folder / "vocals.wav").read_bytes()


def test_songs_of_one_name_in_separate_runs(tmp_path: Path, out: Path) -> None:
    first, second = make(tmp_path / "a.wav"), make(tmp_path / "a.mp3", 0.5)
    for _ in range(2):
        for song in (first, second):
            code, said, err = split(song, "-o", out, "--stems", "vocals")
            assert (code, err) == (0, "")
    assert ": skipped, " in said
    assert vocals(out / "a") != vocals(out / "a.mp3")
    split(make(tmp_path / "alone" / "a.wav", 0.5), "-o", tmp_path, "--stems", "vocals")
    assert vocals(out / "a.mp3") == vocals(tmp_path / "a")


def test_songs_of_one_name_in_one_run_and_alone(tmp_path: Path, out: Path) -> None:
    songs = make(tmp_path / "a.wav"), make(tmp_path / "a.mp3", 0.5)
    assert split(*songs, "-o", out)[0] == 0
    for song in songs:
        assert ": skipped, " in split(song, "-o", out)[1]
    assert {path.name for path in out.iterdir()} == {"a.wav", "a.mp3"}


def test_overwrite_replaces_stems_of_the_same_song_only(tmp_path: Path, out: Path) -> None:
    first, second = make(tmp_path / "a.wav"), make(tmp_path / "a.mp3", 0.5)
    split(first, "-o", out)
    before = vocals(out / "a")
    assert split(second, "-o", out, "--overwrite")[0] == 0
    assert vocals(out / "a") == before
    code, _, err = split(make(tmp_path / "more" / "a.mp3", 0.7), "-o", out, "--overwrite")
    assert code == 1
    assert f"{out / 'a'} and {out / 'a.mp3'} contain other songs' stems" in err


def test_a_song_that_was_moved_is_the_same(tmp_path: Path, out: Path) -> None:
    song = make(tmp_path / "a.wav")
    split(song, "-o", out)
    moved = tmp_path / "elsewhere" / "a.wav"
    moved.parent.mkdir()
    song.rename(moved)
    assert ": skipped, " in split(moved, "-o", out)[1]


def test_a_song_that_has_changed(tmp_path: Path, out: Path) -> None:
    song = make(tmp_path / "a.wav")
    split(song, "-o", out)
    before = vocals(out / "a")
    make(song, 0.5)
    code, _, err = split(song, "-o", out)
    assert code == 1
    assert "has changed since its stems in" in err
    assert vocals(out / "a") == before
    # The other stems are still those of the song before.
    assert split(song, "-o", out, "--stems", "vocals", "--overwrite")[0] == 0
    assert vocals(out / "a") != before
    assert ": skipped, " in split(song, "-o", out, "--stems", "vocals")[1]
    assert "drums.wav: it is not known from which song" in split(song, "-o", out)[2]


def test_other_options(tmp_path: Path, out: Path) -> None:
    song = make(tmp_path / "a.wav")
    split(song, "-o", out, "--stems", "vocals")
    code, _, err = split(song, "-o", out, "--bit-depth", "24", "--mono")
    assert code == 1
    assert "were made with bit-depth 16, mono False; split it again with --overwrite" in err
    assert not (out / "a" / "drums.wav").exists()
    assert split(song, "-o", out, "--bit-depth", "24", "--mono", "--stems", "drums")[0] == 0
    assert ": skipped, " in split(song, "-o", out, "--stems", "vocals")[1]
    assert split(song, "-o", out, "--bit-depth", "24", "--overwrite")[0] == 0
    assert AudioFile(out / "a" / "vocals.wav").codec == "pcm_s24le"
    assert ": skipped, " in split(song, "-o", out, "--bit-depth", "24")[1]


def test_files_of_unknown_origin(tmp_path: Path, out: Path) -> None:
    song, theirs = make(tmp_path / "a.wav"), out / "a" / "vocals.wav"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"precious")
    code, _, err = split(song, "-o", out)
    assert code == 1
    assert err.startswith(f"Error: {theirs}: it is not known from which song")
    assert theirs.read_bytes() == b"precious"
    (out / "a" / ".aistemsplitter-local.json").write_text('{"song": 7}')  # nor from this
    assert split(song, "-o", out)[0] == 1
    assert split(song, "-o", out, "--overwrite")[0] == 0
    assert ": skipped, " in split(song, "-o", out)[1]


def test_a_song_that_is_missing(tmp_path: Path, out: Path) -> None:
    song = make(tmp_path / "a.wav")
    split(song, "-o", out)
    song.unlink()
    code, _, err = split(song, "-o", out)
    assert (code, err) == (1, f"Error: {song}: cannot be opened: No such file or directory\n")


def test_another_precision(tmp_path: Path, out: Path) -> None:
    song = make(tmp_path / "a.wav")
    split(song, "-o", out, "--stems", "vocals", "--precision", "float32")
    code, _, err = split(song, "-o", out, "--stems", "vocals")
    assert code == 1
    assert "were made with precision float32; split it again with --overwrite" in err


@pytest.mark.usefixtures("empty_machine")
def test_a_name_that_stands_for_another_model(tmp_path: Path, out: Path) -> None:
    def run() -> tuple[int, str, str]:
        return split(song, "-o", out, "--model", "mine", "--device", "cpu", "--stems", "vocals")

    song = make(tmp_path / "a.wav")
    add_model("other", TINY)
    add_ensemble("mine", {"htdemucs_tiny": 1, "other": 1}, ["vocals"])
    assert run()[0] == 0
    assert ": skipped, " in run()[1]
    remove_model("mine")
    add_ensemble("mine", {"htdemucs_tiny": 1, "other": 2}, ["vocals"])
    code, _, err = run()
    assert code == 1
    assert "were made with model-digest " in err
