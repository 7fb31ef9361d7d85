"""``aistemsplitter-local split`` in this process, with a fake htdemucs_ft."""

from __future__ import annotations

from pathlib import Path

import pytest

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.cli.records import RECORD
from cli_songs import NOTE, TINY, lines, split, tree, write_song
from fakes import FakeRuntime, use_fake
from stem_files import RATE, STEMS

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


@pytest.mark.usefixtures("fakes")
def test_a_song(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "my song.wav"), tmp_path / "out"
    code, said, err = split(song, "-o", out)
    assert (code, err) == (0, "")
    assert said.startswith(f"{song}: drums, bass, other, vocals in {out / 'my song'} (")
    assert said.endswith(" times real time)\n")
    files = {f"{stem}.wav" for stem in STEMS}
    assert {p.name for p in (out / "my song").iterdir()} == files | {RECORD}


@pytest.mark.usefixtures("fakes")
def test_options_reach_the_engine(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", gain=9)
    options = ["--stems", " vocals ,instrumental,", "--format", "flac", "--bit-depth", "24"]
    options += ["--sample-rate", "48000", "--mono", "--clip", "rescale", "--device", "cpu"]
    options += ["--precision", "float32", "--shifts", "2", "--seed", "3", "--overlap", "0.5"]
    options += ["--batch-size", "3"]
    code, said, _ = split(song, "-o", tmp_path / "out", "--model", "4s", *options)
    assert code == 0
    whole = Separator("htdemucs_ft", shifts=2, seed=3, overlap=0.5, batch_size=3)
    expected = whole.split(
        song,
        tmp_path / "whole",
        stems=["vocals", "instrumental"],
        format="flac",
        bit_depth=24,
        sample_rate=48_000,
        mono=True,
    )
    assert f"; all stems attenuated to {expected.gain:.3g} to stay within full scale" in said
    assert tree(tmp_path / "out") == {
        "song",
        "song/vocals.flac",
        "song/instrumental.flac",
        f"song/{RECORD}",
    }
    for path in expected.stems.values():
        assert (tmp_path / "out" / "song" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("fakes")
def test_a_bit_rate(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    sizes = []
    for rate in ("64", "128"):
        options = ["--stems", "bass", "--format", "mp3", "--bitrate", rate, "--overwrite"]
        assert split(song, "-o", out, *options)[0] == 0
        sizes.append((out / "song" / "bass.mp3").stat().st_size)
    assert 1.8 < sizes[1] / sizes[0] < 2.1
    code, _, err = split(song, "-o", out, "--bitrate", "64")
    assert (code, err) == (1, "Error: wav has no bit rate; leave it out\n")


@pytest.mark.usefixtures("fakes")
def test_a_bit_depth_in_words(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    assert split(song, "-o", out, "--stems", "bass", "--bit-depth", "float")[0] == 0
    assert AudioFile(out / "song" / "bass.wav").codec == "pcm_f32le"
    code, _, err = split(song, "-o", out, "--bit-depth", "many")
    assert code == 2
    assert err.endswith("'many' is neither a number of bits nor 'float'.\n")


@pytest.mark.usefixtures("fakes")
def test_a_name_that_the_output_folder_cannot_store(tmp_path: Path, exfat: Path) -> None:
    song = write_song(tmp_path / "What?.wav")
    assert split(song, "-o", exfat / "stems", "--stems", "bass")[0] == 0
    assert tree(exfat) == {
        "stems",
        "stems/What_",
        "stems/What_/bass.wav",
        f"stems/What_/{RECORD}",
    }
    assert "skipped" in split(song, "-o", exfat / "stems", "--stems", "bass")[1]


def test_finished_songs_are_skipped(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    split(song, "-o", out)
    fakes.clear()
    code, said, err = split(song, "-o", out)
    skipped = f"{song}: skipped, its stems are in {out / 'song'} (--overwrite splits again)\n"
    assert (code, said, err) == (0, skipped, "")
    assert split(song, "-o", out, "--stems", "bass")[1] == skipped
    assert fakes == []
    assert ": skipped, " not in split(song, "-o", out, "--overwrite")[1]
    assert ": skipped, " not in split(song, "-o", out, "--stems", "bass,residual")[1]
    (out / "song" / "drums.wav").unlink()
    assert ": skipped, " not in split(song, "-o", out)[1]


@pytest.mark.usefixtures("fakes")
def test_folders_keep_their_structure(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name in ("a.wav", "x/b.wav", "x/y/c.wav"):
        write_song(music / name, 0.1)
    out = music / "stems"  # within the folder of songs: it is not searched
    for _ in range(2):
        code, said, err = split(music, "-o", out, "--stems", "vocals")
        assert (code, err, said.count("\n")) == (0, "", 3)
        found = {name for name in tree(out) if name.endswith(".wav")}
        assert found == {"a/vocals.wav", "x/b/vocals.wav", "x/y/c/vocals.wav"}
    assert said.count("skipped") == 3


@pytest.mark.usefixtures("fakes")
def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{name}.wav", 0.2) for name in "abc"]
    songs[1].write_text("not audio")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    code, said, err = split(*songs, tmp_path / "empty", "-o", out)
    assert code == 1
    assert said.count("\n") == 2
    assert {path.name for path in out.iterdir()} == {"a", "c"}
    bad, empty = f"{songs[1]}: is not audio that", f"{tmp_path / 'empty'}: holds no audio files"
    starts = [f"Error: {empty}", f"Error: {bad}", "2 of 4 failed:", f"  {empty}", f"  {bad}"]
    assert len(err.splitlines()) == 5
    assert all(line.startswith(start) for line, start in zip(err.splitlines(), starts, strict=True))


@pytest.mark.usefixtures("fakes")
def test_json(tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{name}.wav", 0.2, gain=9) for name in "abc"]
    songs[1].write_text("not audio")
    out = tmp_path / "out"
    split(songs[2], "-o", out)
    code, said, err = split(*songs, tmp_path / "none.wav", "-o", out, "--json")
    assert code == 1
    done, bad, skipped, missing = lines(said)
    assert (done["song"], done["status"], done["model"]) == (str(songs[0]), "done", "htdemucs_ft")
    assert done["stems"] == {stem: str(out / "a" / f"{stem}.wav") for stem in STEMS}
    assert (done["sampleRate"], done["frames"], done["durationSeconds"]) == (RATE, 8820, 0.2)
    assert 0 < done["gain"] < 1
    assert done["elapsedSeconds"] > 0
    assert done["warnings"] == []
    assert (bad["song"], bad["status"]) == (str(songs[1]), "failed")
    assert bad["error"].startswith(f"{songs[1]}: is not audio that can be read")
    assert skipped == {
        "song": str(songs[2]),
        "status": "skipped",
        "stems": {stem: str(out / "c" / f"{stem}.wav") for stem in STEMS},
    }
    assert (
        missing["error"] == f"{tmp_path / 'none.wav'}: cannot be opened: No such file or directory"
    )
    assert f"Error: {bad['error']}" in err
    code, said, err = split(songs[0], "-o", out, "--stems", "voice", "--json")
    (failed,) = lines(said)
    assert (code, failed["song"], failed["status"]) == (1, None, "failed")
    assert failed["error"].startswith("htdemucs_ft has no stem 'voice'")


@pytest.mark.usefixtures("fakes")
def test_json_with_progress(tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.wav", 0.2)
    code, said, err = split(song, "-o", tmp_path / "out", "--json", "--progress")
    assert (code, err) == (0, "")
    *progress, done = lines(said)
    assert done["status"] == "done"
    assert {(each["song"], each["status"]) for each in progress} == {(str(song), "progress")}
    fractions = [each["fraction"] for each in progress]
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1.0
    code, _, err = split(song, "-o", tmp_path / "out", "--progress")
    assert code == 2
    assert "--progress goes with --json" in err


def test_the_demonstration_model_prints_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake(monkeypatch)
    song = write_song(tmp_path / "song.wav", 0.2)
    code, said, err = split(song, "-o", tmp_path / "out", "--json", *TINY)
    assert (code, len(lines(said))) == (0, 1)
    assert err.startswith(NOTE)
    assert err.endswith("for real songs: aistemsplitter-local models install htdemucs_ft\n")
