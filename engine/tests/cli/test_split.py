"""``aistemsplitter-local split`` in this process, over a fake htdemucs_ft."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.cli.app import app
from aistemsplitter_engine.cli.split import _stoppable
from cli_songs import NOTE, TINY, lines, tree, write_song
from networks import Bag, FakeRuntime, use_fake
from stem_files import RATE, STEMS, read

pytestmark = pytest.mark.timeout(120)  # whatever hangs shows where


@pytest.fixture
def fakes(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:  # noqa: ARG001
    return use_fake(monkeypatch)


def split(*arguments: str | Path) -> tuple[int, str, str]:
    """Run the command; its exit code, and what it says on standard output and error."""
    result = CliRunner().invoke(app, ["split", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for text in (result.stdout, result.stderr):
        assert "\x1b" not in text
        assert "Traceback" not in text
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("fakes")
def test_a_song(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "my song.wav"), tmp_path / "out"
    code, said, err = split(song, "-o", out)
    assert (code, err) == (0, "")
    assert said.startswith(f"{song}: drums, bass, other, vocals in {out / 'my song'} (")
    assert said.endswith(" times real time)\n")
    assert {p.name for p in (out / "my song").iterdir()} == {f"{stem}.wav" for stem in STEMS}


@pytest.mark.usefixtures("fakes")
def test_options_reach_the_engine(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", gain=9)
    options = ["--stems", " vocals ,instrumental,", "--format", "flac", "--bit-depth", "24"]
    options += ["--sample-rate", "48000", "--mono", "--clip", "rescale", "--device", "cpu"]
    options += ["--precision", "float32", "--shifts", "2", "--seed", "3", "--overlap", "0.5"]
    code, said, _ = split(song, "-o", tmp_path / "out", "--model", "4s", *options)
    assert code == 0
    whole = Separator("htdemucs_ft", shifts=2, seed=3, overlap=0.5)
    expected = whole.split(
        song,
        tmp_path / "whole",
        stems=["vocals", "instrumental"],
        format="flac",
        bit_depth=24,
        sample_rate=48_000,
        mono=True,
    )
    assert f"; all stems turned down to {expected.gain:.3g} to stay within full scale" in said
    assert tree(tmp_path / "out") == {"song", "song/vocals.flac", "song/instrumental.flac"}
    for path in expected.stems.values():
        assert (tmp_path / "out" / "song" / path.name).read_bytes() == path.read_bytes()


def test_what_is_done_is_skipped(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
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
    out = music / "stems"  # within: it is not read again
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


def test_the_demonstration_model_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake(monkeypatch)
    song = write_song(tmp_path / "song.wav", 0.2)
    code, said, err = split(song, "-o", tmp_path / "out", "--json", *TINY)
    assert (code, len(lines(said))) == (0, 1)
    assert err.startswith(NOTE)
    assert err.endswith("for real songs: aistemsplitter-local models install htdemucs_ft\n")


# What is wrong gets one line, and leaves nothing


def wav(data: bytes, *, channels: int = 2, size: int | None = None) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * 2 * channels, 2 * channels % 65_536, 16)
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(body) + size) + body + data


PLAYLIST = b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\nfile:///etc/passwd\n"
BAD_SONGS = {
    "empty": (b"", "is empty (0 bytes)"),
    "text": (b"These are words, not music.\n" * 99, "is not audio that can be read, or is damaged"),
    "header alone": (wav(b""), "holds no audio (0 samples)"),
    "truncated": (
        wav(bytes(40_000), size=400_000),
        "is truncated: 0.227 s of 2.268 s are readable",
    ),
    "playlist": (PLAYLIST, "is not audio that can be read, or is damaged"),
    "600 channels": (wav(bytes(1_200_000), channels=600), "declares no sample rate, or more chann"),
}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("name", BAD_SONGS)
def test_a_bad_song(tmp_path: Path, name: str) -> None:
    content, reason = BAD_SONGS[name]
    song = tmp_path / "song.wav"
    song.write_bytes(content)
    code, said, err = split(song, "-o", tmp_path / "out" / "deeper")
    assert (code, said) == (1, "")
    assert err.startswith(f"Error: {song}: {reason}")
    assert err.count("\n") == 1
    assert tree(tmp_path) == {"song.wav"}


@pytest.mark.usefixtures("fakes")
def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "round.wav").symlink_to("round.wav")
    (tmp_path / "readme.txt").touch()
    for name, reason in (
        ("none.wav", "cannot be opened: No such file or directory"),
        ("pipe.wav", "is not a regular file; copy its content into one"),
        ("round.wav", "cannot be opened: Too many levels of symbolic links"),
        ("x" * 300, "cannot be opened: File name too long"),
        ("readme.txt/song.wav", "cannot be opened: Not a directory"),
        ("readme.txt", "is empty (0 bytes)"),
    ):
        code, said, err = split(tmp_path / name, "-o", tmp_path / "out")
        assert (code, said, err) == (1, "", f"Error: {tmp_path / name}: {reason}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stems", "vocals,voice"], "htdemucs_ft has no stem 'voice'; it has drums, bass, oth"),
        (["--stems", ","], "no stem was asked for"),
        (["--model", "umx"], "there is no model 'umx'; there are htdemucs, htdemucs_ft, htdemucs_"),
        (
            ["--model", "6s"],
            "the model htdemucs_6s is not installed (its weights are not here); in",
        ),
        (["--model", "./my.th"], "the model my.th cannot be read: No such file or directory"),
        (["--bit-depth", "20"], "wav has a bit depth of 16 or 24 or 32, not 20"),
        (["--format", "mp3", "--bit-depth", "16"], "mp3 has no bit depth; leave it out"),
        (["--sample-rate", "0"], "sample rate 0 is not between 1000 and 768000 Hz"),
        (["--overlap", "1"], "overlap 1 is not between 0 and 0.99"),
        (["--shifts", "1000"], "shifts 1000 is not between 0 and 100"),
    ],
)
def test_a_bad_option(
    tmp_path: Path, fakes: list[FakeRuntime], options: list[str], message: str
) -> None:
    """It is told before the first song is opened."""
    code, said, err = split(tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "o", *options)
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {message}")
    assert (tree(tmp_path), fakes) == (set(), [])


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "ogg"], "Invalid value for '--format': 'ogg' is not one of"),
        (["--device", "tpu"], "Invalid value for '--device'"),
        (["--shifts", "-1"], "Invalid value for '--shifts'"),
        (["--overlap", "half"], "Invalid value for '--overlap'"),
        (["--loud"], "No such option"),
    ],
)
def test_a_usage_error(tmp_path: Path, options: list[str], message: str) -> None:
    code, said, err = split("a.wav", "-o", tmp_path / "out", *options)
    assert (code, said) == (2, "")
    assert f"Error: {message}" in err
    assert split("a.wav")[0] == 2
    assert split("-o", tmp_path)[0] == 2


@pytest.mark.usefixtures("fakes")
def test_an_output_that_cannot_be(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", 0.2)
    (tmp_path / "file").touch()
    long = "x" * 300
    for output, place, reason in (
        ("file", "file/song", "Not a directory"),
        ("file/below", "file/below/song", "Not a directory"),
        (long, f"{long}/song", "File name too long"),
    ):
        code, said, err = split(song, "-o", tmp_path / output)
        assert (code, said, err) == (1, "", f"Error: {tmp_path / place}: {reason}\n")
    (tmp_path / "song").touch()
    assert split(song, "-o", tmp_path)[2] == f"Error: {tmp_path / 'song'}: File exists\n"
    assert tree(tmp_path) == {"song.wav", "file", "song"}


@pytest.mark.usefixtures("fakes")
def test_another_run_is_at_it(tmp_path: Path) -> None:
    song, folder = write_song(tmp_path / "song.wav", 0.2), tmp_path / "out" / "song"
    folder.mkdir(parents=True)
    with FileLock(folder / ".aistemsplitter.lock"):
        code, _, err = split(song, "-o", tmp_path / "out")
    message = f"Error: {folder}: another run is writing stems here; wait for it\n"
    assert (code, err) == (1, message)
    assert split(song, "-o", tmp_path / "out")[0] == 0


def test_a_damaged_model_stops_the_run(tmp_path: Path, bag: Bag) -> None:
    """It is not the songs' fault, so they are not tried one after the other."""
    songs = [write_song(tmp_path / f"{name}.wav", 0.2) for name in "ab"]
    model = tmp_path / "model.safetensors"
    content = bag.paths[0].read_bytes()
    model.write_bytes(content.replace(b"encoder.0.conv.weight", b"encoder.0.conv.wrong!"))
    code, said, err = split(*songs, "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {model} cannot be used as a model: ")
    assert not (tmp_path / "out").exists()


def test_what_nobody_expected_does_not_stop_the_rest(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeRuntime):
        def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
            if np.abs(segments).max() > 0:
                raise RuntimeError("out of memory:\n\ttried  to allocate 3 GB\n")
            return super().__call__(segments, sources)

    use_fake(monkeypatch, Broken)
    assert bag.paths
    songs = [write_song(tmp_path / f"{name}.wav", 0.2, gain) for name, gain in (("a", 1), ("b", 0))]
    code, said, err = split(*songs, "-o", tmp_path / "out")
    assert (code, said.count("\n")) == (1, 1)
    assert err.splitlines()[0].startswith(
        f"Error: {songs[0]}: failed unexpectedly: RuntimeError: out of memory: tried to allocate"
        " 3 GB (test_split.py:"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    "name",
    [
        "line\nbreak",
        "\x1b[31mred\x1b[0m",
        "[red]markup[/red] [/]",
        "bell\a\b\r",
        b"\xff\xfe not unicode".decode(errors="surrogateescape"),
        "Füße \N{GUITAR}",
        "-dash",
        "x" * 240,
        "{task.description} %s %(a)s",
    ],
)
def test_names_do_nothing_to_the_terminal(tmp_path: Path, name: str) -> None:
    song, bad = write_song(tmp_path / "m" / f"{name}.wav", 0.1), tmp_path / "m" / f"{name}2.wav"
    bad.write_text("words")
    code, said, err = split(tmp_path / "m", "-o", tmp_path / "out", "--stems", "bass")
    assert code == 1
    assert (said.count("\n"), err.count("\n")) == (1, 3)
    plain = "".join(c if c.isprintable() else "?" for c in name)
    assert said.startswith(f"{tmp_path / 'm' / plain}.wav: bass in {tmp_path / 'out' / plain} (")
    assert err.startswith(f"Error: {tmp_path / 'm' / plain}2.wav: is not audio")
    assert read(tmp_path / "out" / name / "bass.wav").shape == (2, 4410)
    _, said, _ = split(tmp_path / "m", "-o", tmp_path / "out", "--stems", "bass", "--json")
    assert {line["song"] for line in lines(said)} == {str(song), str(bad)}  # here, as they are


# Stopping


def deliver(number: int) -> None:
    """Call the signal's handler.

    Not a signal: this process may have had several of OpenVINO's cores, and where those do not go
    in the order in which they came, they leave a stack for signals that is gone.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_stop_between_two_segments(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch, number: int, as_json: bool
) -> None:
    estimate = FakeRuntime._estimate

    def stop(self: FakeRuntime, segments: FloatArray, source: int) -> FloatArray:
        if self.calls == 5:
            deliver(number)
        return estimate(self, segments, source)

    use_fake(monkeypatch)
    monkeypatch.setattr(FakeRuntime, "_estimate", stop)
    before = signal.getsignal(number)
    songs = [write_song(tmp_path / f"{name}.wav", 20) for name in "ab"]
    assert bag.paths
    arguments = [*songs, "-o", tmp_path / "out", "--stems", "vocals"]
    code, said, err = split(*arguments, *["--json"] * as_json)
    assert code == 130
    assert err == "Stopped. The same command with --resume goes on from here.\n"
    assert said == ('{"song": null, "status": "stopped"}\n' if as_json else "")
    assert signal.getsignal(number) is before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(FakeRuntime, "_estimate", estimate)
    fakes = use_fake(monkeypatch)
    assert split(*arguments, "--resume")[0] == 0
    calls = fakes[0].calls
    assert split(*arguments, "--overwrite")[0] == 0
    assert calls < fakes[-1].calls
    assert tree(tmp_path / "out") == {"a", "a/vocals.wav", "b", "b/vocals.wav"}


def test_the_second_signal_ends_it_at_once() -> None:
    with _stoppable() as stop:
        deliver(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            deliver(signal.SIGINT)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("honest", [True, False])
def test_a_full_disk(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, honest: bool
) -> None:
    """Whether it can be known before or not."""
    song = write_song(tmp_path / "song.wav", 12)
    if not honest:
        monkeypatch.setattr("aistemsplitter_engine.split._check_space", lambda *_: None)
    code, said, err = split(song, "-o", small_disk / "out", "--stems", "vocals")
    assert (code, said, err.count("\n")) == (1, "", 1)
    place = f"Error: {small_disk / 'out' / 'song'}"
    if honest:
        assert err.startswith(f"{place}: the stems need up to 6 MB while they are made, and 4 MB ")
    else:
        assert err.startswith(place)
        assert err.endswith(": No space left on device\n")
    assert tree(small_disk) == set()
